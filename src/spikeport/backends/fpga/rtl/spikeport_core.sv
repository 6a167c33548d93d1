// An event-driven integer core: one datapath that carries every neuron and synapse of a network in turn.
//
// Nothing of a network is in this text. Widths and depths are parameters, the network lies in memories that $readmemh fills:
//
//   places       populations and inputs, one word each: kind, first neuron, how many, projections, clock, range
//   projections  first row, delay
//   rows         one word a source neuron: where its pattern begins, how long it is, first weight, first target
//   patterns     (distance from the first target, distance from the first weight); rows that are alike share one
//   weights      each weight of a layer once
//   classes      number of the parameters of each neuron
//   parameters   threshold, share of the bias, remainder, initial potential, extra, refractory steps, table, two leaks
//   steps        tables of thresholds; of leaky units how far to the right what arrives at each port is shifted
//
// A beat of 64 bits, in and out: kind 63:60, place 59:52, index 51:32, value 31:0 (signed).
//   in    0 event (value is its payload)   1 current (value)   2 end of a step (value 1:0 says what is told besides spikes: 1 potentials
//         of places that are shown, 2 of all)   3 begin a sample   4 go on at step `value`, with slot `index`
//   out   0 spike   1 potential   2 end of a step (tlast)   3 a sample has begun (tlast)   4 second state   5 resumed (tlast)
// Beats are taken between steps only; all is still while an outgoing beat waits.

`default_nettype none

module spikeport_core #(
    // depths
    parameter NEURONS = 1,
    parameter SLOTS = 1,
    parameter PLACES = 1,
    parameter FIRST_POPULATION = 0,
    parameter PROJECTIONS = 1,
    parameter ROWS = 1,
    parameter PATTERNS = 1,
    parameter WEIGHTS = 1,
    parameter CLASSES = 1,
    parameter STEPS = 1,
    // widths of addresses: clog2 of the depths, at least 1
    parameter NA = 1,
    parameter CB = 1,    // numbers of neurons of a place
    parameter SA = 1,
    parameter LA = 1,
    parameter JA = 1,
    parameter RA = 1,
    parameter PA = 1,
    parameter WA = 1,
    parameter CA = 1,
    parameter TA = 1,
    // widths of numbers
    parameter LB = 1,    // length of a pattern
    parameter WD = 1,    // distance from the first weight of a row
    parameter TD = 1,    // distance from its first target
    parameter WW = 2,    // weights
    parameter AW = 2,    // what has arrived
    parameter VW = 2,    // potentials
    parameter UW = 0,    // second state
    parameter SW = 0,    // what has been sent
    parameter RW = 0,    // remainder of the bias
    parameter FW = 0,    // refractory steps
    parameter DW = 0,    // leaks, in 4096ths
    parameter HW = 2,    // thresholds
    parameter BW = 2,    // share of the bias
    parameter EW = 1,    // extra
    parameter PW = 2,    // payloads
    parameter OW = 2,    // least count
    parameter QW = 1,    // range of a count
    parameter TW = 1,    // number of a step
    parameter IW = 8,    // inside
    // meaning
    parameter PRESENT = 1,   // steps over which biases are split; 0: the same in every step
    parameter GREATER = 0,   // fires where v > threshold, not where v >= threshold (kinds 8 and 9)
    parameter TO_VALUE = 0,  // is reset to a value, not by subtraction (kind 8)
    parameter WRAPS = 0,     // what arrives wraps at AW bits, by contract
    parameter SATURATE = 1,  // at the ends of VW bits, or wraps (kinds 8 and 9)
    parameter [15:0] KINDS = 16'hffff,  // kinds of neurons that there are
    // files
    parameter PLACES_FILE = "places.mem",
    parameter PROJECTIONS_FILE = "projections.mem",
    parameter ROWS_FILE = "rows.mem",
    parameter PATTERNS_FILE = "patterns.mem",
    parameter WEIGHTS_FILE = "weights.mem",
    parameter CLASSES_FILE = "classes.mem",
    parameter PARAMETERS_FILE = "parameters.mem",
    parameter STEPS_FILE = "steps.mem"
) (
    input  wire        clk,
    input  wire        resetn,
    input  wire [63:0] s_axis_tdata,
    input  wire        s_axis_tvalid,
    output wire        s_axis_tready,
    output reg  [63:0] m_axis_tdata,
    output wire        m_axis_tvalid,
    input  wire        m_axis_tready,
    output wire        m_axis_tlast
);
    // kinds of neurons
    localparam [3:0] ACCUMULATOR = 0, SIGNED = 1, GRADED = 2, BANK = 3, PLAIN = 4, PHASED = 5, RADIX = 6, MAXIMUM = 7;
    localparam [3:0] FIRES = 8, MEMORYLESS = 9, STAIRCASE = 10, LEVELS = 11, THERMOMETER = 12, DIGITS = 13, LEAKY = 14, INPUT = 15;

    // kinds of beats
    localparam [3:0] IN_EVENT = 0, IN_CURRENT = 1, IN_STEP = 2, IN_BEGIN = 3, IN_RESUME = 4;
    localparam [3:0] OUT_SPIKE = 0, OUT_POTENTIAL = 1, OUT_STEP = 2, OUT_BEGUN = 3, OUT_SECOND = 4, OUT_RESUMED = 5;

    // words of the memories, lowest field first
    localparam PLACE_W = 4 + NA + CB + JA + (JA + 1) + TW + TW + OW + QW + 1 + RA;
    localparam PROJECTION_W = RA + SA;
    localparam ROW_W = PA + LB + WA + NA;
    localparam PATTERN_W = TD + WD;
    localparam PARAMETER_W = HW + BW + RW + VW + EW + FW + TA + 2 * DW;
    localparam STATE_W = VW + UW + SW + RW + FW;

    reg [PLACE_W-1:0]      places      [0:PLACES-1];
    reg [PROJECTION_W-1:0] projections [0:PROJECTIONS-1];
    reg [ROW_W-1:0]        rows        [0:ROWS-1];
    reg [PATTERN_W-1:0]    patterns    [0:PATTERNS-1];
    reg [WW-1:0]           weights     [0:WEIGHTS-1];
    reg [CA-1:0]           classes     [0:NEURONS-1];
    reg [PARAMETER_W-1:0]  parameters  [0:CLASSES-1];
    reg [HW-1:0]           steps       [0:STEPS-1];
    (* no_rw_check *) reg [STATE_W-1:0] state [0:NEURONS-1];
    (* no_rw_check *) reg [AW-1:0]      arrived [0:(SLOTS == 1 ? NEURONS : (1 << NA) * SLOTS)-1];

    initial begin
        $readmemh(PLACES_FILE, places);
        $readmemh(PROJECTIONS_FILE, projections);
        $readmemh(ROWS_FILE, rows);
        $readmemh(PATTERNS_FILE, patterns);
        $readmemh(WEIGHTS_FILE, weights);
        $readmemh(CLASSES_FILE, classes);
        $readmemh(PARAMETERS_FILE, parameters);
        $readmemh(STEPS_FILE, steps);
    end

    // where the core is
    localparam [5:0]
        IDLE = 0, CLEAR_0 = 1, CLEAR_1 = 2, CLEAR_2 = 3, CLEAR_SLOTS = 4, BEGUN = 5,
        EVENT_0 = 6, EVENT_1 = 7, CURRENT_0 = 8, CURRENT_1 = 9, CURRENT_2 = 10, CURRENT_3 = 11, CURRENT_4 = 38,
        PLACE_0 = 12, PLACE_1 = 13, PLACE_2 = 14,
        NEURON_0 = 15, NEURON_1 = 16, NEURON_2 = 17, NEURON_3 = 18, NEURON_4 = 19,
        DIVIDE = 20, TABLE_0 = 21, TABLE_1 = 22, WINDOW = 23, ROW_READ = 24, LARGEST = 25,
        WRITE = 26, SPIKE = 27, SEND_0 = 28, SEND_1 = 29, ROW_0 = 30, ROW_1 = 31, WALK = 32,
        POTENTIAL = 33, NEXT = 34, STEP_END = 35, RESUMED = 36, SECOND = 37,
        PORT_0 = 39, PORT_1 = 40, PORT_2 = 41, LEAK_0 = 42, LEAK_1 = 43, LEAK_2 = 44, LEAK_3 = 45;
    reg [5:0] at;

    // what is being worked on
    reg [63:0]          beat;
    reg [1:0]           report;
    reg [TW-1:0]        now;
    reg [SA-1:0]        slot, into;
    reg [LA-1:0]        place;
    reg [CB-1:0]        neuron;       // within its place
    reg [NA-1:0]        address;      // among all
    reg                 announce;     // that a sample has begun; not when power comes
    reg                 from_input;   // what is sent came from outside
    reg [JA:0]          sending;      // projections that are done
    reg signed [PW-1:0] payload;

    // the place
    reg [3:0]           kind;
    reg [NA-1:0]        first;
    reg [CB-1:0]        count;
    reg [JA-1:0]        first_projection;
    reg [JA:0]          n_projections;
    reg [TW-1:0]        opens, closes;
    reg signed [OW-1:0] low;
    reg [QW-1:0]        range;
    reg                 shown;
    reg [RA-1:0]        windows;

    // the neuron
    reg signed [IW-1:0] v, x, threshold, extra, left;
    reg [SW:0]          sent;
    reg [RW:0]          phase;
    reg [FW:0]          deaf, deaf_for;
    reg                 active;
    reg [TA-1:0]        table_at;
    reg [QW:0]          index;        // of a table; or bits that are left to divide
    reg [QW:0]          quotient;
    reg signed [31:0]   u;            // second state
    reg [12:0]          leak_u, leak_v;
    reg signed [46:0]   leaked;
    reg [NA-1:0]        port;         // where more has arrived

    // memories: an address in one state, the word in the next
    reg [PLACE_W-1:0]      place_q;
    reg [PROJECTION_W-1:0] projection_q;
    reg [ROW_W-1:0]        row_q;
    reg [PATTERN_W-1:0]    pattern_q;
    reg [WW-1:0]           weight_q;
    reg [CA-1:0]           class_q;
    reg [PARAMETER_W-1:0]  parameter_q;
    reg [HW-1:0]           steps_q;
    reg [STATE_W-1:0]      state_q;
    reg [AW-1:0]           arrived_q;

    reg [RA-1:0]  row_at;
    reg [JA-1:0]  projection_at;
    reg [TA-1:0]  steps_at;
    reg           state_we;
    reg [STATE_W-1:0] state_d;

    // walking along a row: one synapse a cycle
    reg [PA-1:0]  pattern_at;
    reg [LB-1:0]  pattern_left;
    reg [WA-1:0]  first_weight, weight_at;
    reg [NA-1:0]  first_target, target_read, target_held, target_written;
    reg           gathering;
    reg           issue, valid_1, valid_2, valid_3, valid_4;
    reg signed [AW:0] product, brought;
    reg signed [IW-1:0] best;
    wire          walking = issue | valid_1 | valid_2 | valid_3 | valid_4;
    wire signed [AW:0] after = brought + product;

    wire [SA+NA-1:0] arrived_at = (at == WALK) ? {into, target_read} : (at == PORT_0 || at == PORT_1) ? {slot, port} : {slot, address};
    reg              arrived_we;
    reg [SA+NA-1:0]  arrived_to;
    reg [AW-1:0]     arrived_d;

    always @(posedge clk) begin
        place_q <= places[place];
        projection_q <= projections[projection_at];
        row_q <= rows[row_at];
        pattern_q <= patterns[pattern_at];
        weight_q <= weights[weight_at];
        class_q <= classes[address];
        parameter_q <= parameters[class_q];
        steps_q <= steps[steps_at];
        state_q <= state[address];
        if (state_we) state[address] <= state_d;
        arrived_q <= arrived[arrived_at];
        if (arrived_we) arrived[arrived_to] <= arrived_d;
    end

    // fields, lowest first; zeros above stand for those of no width
    localparam P1 = 4, P2 = P1 + NA, P3 = P2 + CB, P4 = P3 + JA, P5 = P4 + JA + 1, P6 = P5 + TW, P7 = P6 + TW;
    localparam P8 = P7 + OW, P9 = P8 + QW, P10 = P9 + 1;
    localparam R1 = PA, R2 = R1 + LB, R3 = R2 + WA;
    localparam C1 = HW, C2 = C1 + BW, C3 = C2 + RW, C4 = C3 + VW, C5 = C4 + EW, C6 = C5 + FW, C7 = C6 + TA, C8 = C7 + DW;
    localparam S1 = VW, S2 = S1 + UW, S3 = S2 + SW, S4 = S3 + RW;
    wire [PARAMETER_W+63:0] parameter_f = {64'b0, parameter_q};
    wire [STATE_W+63:0]     state_f = {64'b0, state_q};
    wire signed [HW-1:0]    threshold_f = parameter_f[0 +: HW];
    wire signed [BW-1:0]    share_f = parameter_f[C1 +: BW];
    wire [RW:0]             rest_f = (RW == 0) ? 0 : parameter_f[C2 +: (RW == 0 ? 1 : RW)];
    wire signed [VW-1:0]    initial_f = parameter_f[C3 +: VW];
    wire signed [EW-1:0]    extra_f = parameter_f[C4 +: EW];
    wire [FW:0]             deaf_for_f = (FW == 0) ? 0 : parameter_f[C5 +: (FW == 0 ? 1 : FW)];
    wire [TA-1:0]           table_f = parameter_f[C6 +: TA];
    wire [12:0]             leak_u_f = (DW == 0) ? 0 : parameter_f[C7 +: (DW == 0 ? 1 : DW)];
    wire [12:0]             leak_v_f = (DW == 0) ? 0 : parameter_f[C8 +: (DW == 0 ? 1 : DW)];
    wire signed [31:0]      u_f = (UW == 0) ? 0 : state_f[S1 +: 32];
    wire signed [VW-1:0]    v_f = state_f[0 +: VW];
    wire [SW:0]             sent_f = (SW == 0) ? 0 : {state_f[S2 + (SW == 0 ? 0 : SW - 1)], state_f[S2 +: (SW == 0 ? 1 : SW)]};
    wire [RW:0]             phase_f = (RW == 0) ? 0 : state_f[S3 +: (RW == 0 ? 1 : RW)];
    wire [FW:0]             deaf_f = (FW == 0) ? 0 : state_f[S4 +: (FW == 0 ? 1 : FW)];
    wire signed [AW-1:0]    arrived_s = arrived_q;
    wire signed [WW-1:0]    weight_s = weight_q;
    wire signed [HW-1:0]    steps_s = steps_q;
    wire signed [SW:0]      sent_s = sent;
    wire signed [31:0]      value = beat[31:0];

    // what a neuron keeps
    wire [STATE_W+63:0] kept = ({{(STATE_W + 64 - VW){1'b0}}, v[VW-1:0]})
        | ((UW == 0) ? 0 : ({{(STATE_W + 32){1'b0}}, u} << S1))
        | (({{(STATE_W + 63 - SW){1'b0}}, sent} & ((1 << SW) - 1)) << S2)
        | (({{(STATE_W + 63 - RW){1'b0}}, phase} & ((1 << RW) - 1)) << S3)
        | (({{(STATE_W + 63 - FW){1'b0}}, deaf} & ((1 << FW) - 1)) << S4);
    wire [STATE_W+63:0] begins = {{(STATE_W + 64 - VW){1'b0}}, initial_f};

    // the share of the bias in this step: floor((t + 1) b / P) - floor(t b / P), by a remainder that is carried along
    wire presents = (PRESENT == 0) || (now < PRESENT);
    wire [RW+1:0] phase_sum = phase_f + rest_f;
    wire carries = (PRESENT != 0) && (phase_sum >= PRESENT);
    wire signed [IW-1:0] share = presents ? share_f + $signed({1'b0, carries}) : 0;

    // a potential of so many bits
    localparam signed [IW-1:0] HIGHEST = (1 <<< (VW - 1)) - 1;
    localparam signed [IW-1:0] LOWEST = -(1 <<< (VW - 1));
    function signed [IW-1:0] fit(input signed [IW-1:0] a);
        if (SATURATE != 0) fit = (a > HIGHEST) ? HIGHEST : (a < LOWEST) ? LOWEST : a;
        else fit = $signed({{(IW - VW){a[VW-1]}}, a[VW-1:0]});
    endfunction

    // a leak: a product of 4096ths, rounded towards zero
    wire signed [46:0] towards_zero = (leaked < 0) ? -(-leaked >>> 12) : leaked >>> 12;
    wire signed [46:0] u_long = towards_zero + $signed({{15{x[25]}}, x[25:0], 6'b0});
    wire signed [31:0] u_sum = u_long[31:0];
    wire signed [31:0] u_next = (u_sum > 8388608) ? u_sum - 16777216 : (u_sum <= -8388608) ? u_sum + 16777216 : u_sum;
    wire signed [46:0] v_sum = towards_zero + u + extra;

    wire is_open = (now == opens);
    wire beyond = (GREATER != 0) ? (v > threshold) : (v >= threshold);
    wire fires = beyond && active;
    wire [TW-1:0] since = now - opens;
    wire in_phase = (now >= opens) && (now < closes);
    wire [QW:0] digit = (1 << (range - 1)) >> since;  // worth of a binary digit
    wire signed [IW-1:0] binary = threshold <<< (range - 1 - since);
    wire [QW:0] sent_so_far = sent;
    wire [QW:0] climbed = sent_s - low;               // steps of a table that are below
    wire [QW:0] digit_end = sent_so_far + ((1 << (closes - opens - 1)) >> since);
    wire [QW:0] tried = quotient | (1 << index);

    // a place that does nothing by the clock, and of which nothing is asked
    wire clocked = (kind == GRADED) || (kind == BANK) || (kind == LEVELS) || (kind == RADIX) || (kind == THERMOMETER) || (kind == DIGITS);
    wire idles = clocked && !presents && !((now >= opens) && (now < closes)) && !report[1];

    wire last_neuron = (neuron + 1 == count);
    wire tells = (kind != MAXIMUM) && (report[1] || (report[0] && shown));

    assign s_axis_tready = (at == IDLE);
    assign m_axis_tvalid = (at == SPIKE) || (at == POTENTIAL) || (at == SECOND) || (at == STEP_END) || (at == BEGUN) || (at == RESUMED);
    assign m_axis_tlast = (at == STEP_END) || (at == BEGUN) || (at == RESUMED);
    wire [7:0]  place_told = {{(10 - LA){1'b0}}, place};
    wire [19:0] neuron_told = {{(21 - CB){1'b0}}, neuron};
    wire signed [31:0] payload_told = payload;
    wire signed [31:0] v_told = v;
    always @* begin
        case (at)
            SPIKE: m_axis_tdata = {OUT_SPIKE, place_told, neuron_told, payload_told};
            POTENTIAL: m_axis_tdata = {OUT_POTENTIAL, place_told, neuron_told, v_told};
            SECOND: m_axis_tdata = {OUT_SECOND, place_told, neuron_told, u};
            STEP_END: m_axis_tdata = {OUT_STEP, 60'b0};
            BEGUN: m_axis_tdata = {OUT_BEGUN, 60'b0};
            default: m_axis_tdata = {OUT_RESUMED, 60'b0};
        endcase
    end

    // what is written where
    reg [SA-1:0] clearing;
    always @* begin
        state_we = (at == CLEAR_2) || (at == WRITE);
        state_d = (at == CLEAR_2) ? begins[STATE_W-1:0] : kept[STATE_W-1:0];
        arrived_we = 1'b0;
        arrived_to = {slot, address};
        arrived_d = 0;
        case (at)
            CLEAR_SLOTS: begin arrived_we = 1'b1; arrived_to = {clearing, address}; end
            CURRENT_4: begin arrived_we = 1'b1; arrived_d = x[AW-1:0]; end
            WRITE: arrived_we = (kind != MAXIMUM);
            PORT_2: begin arrived_we = 1'b1; arrived_to = {slot, port}; end
            WALK: begin arrived_we = valid_4 && !gathering; arrived_to = {into, target_written}; arrived_d = after[AW-1:0]; end
            default: ;
        endcase
    end

    always @(posedge clk) begin
        if (!resetn) begin
            at <= CLEAR_0;
            announce <= 1'b0;
            address <= 0;
            now <= 0;
            slot <= 0;
            into <= 0;
            place <= 0;
            report <= 0;
            issue <= 1'b0;
            valid_1 <= 1'b0;
            valid_2 <= 1'b0;
            valid_3 <= 1'b0;
            valid_4 <= 1'b0;
            gathering <= 1'b0;
            u <= 0;
            leaked <= 0;
            leak_u <= 0;
            leak_v <= 0;
            port <= 0;
        end else begin
            // the walk goes on by itself
            valid_1 <= issue;
            valid_2 <= valid_1;
            valid_3 <= valid_2;
            valid_4 <= valid_3;
            if (issue) begin
                pattern_at <= pattern_at + 1;
                pattern_left <= pattern_left - 1;
                issue <= (pattern_left != 1);
            end
            weight_at <= first_weight + pattern_q[TD +: WD];
            target_read <= first_target + pattern_q[0 +: TD];
            target_held <= target_read;
            target_written <= target_held;
            product <= weight_s * payload;
            brought <= arrived_s;
            if (valid_3 && gathering && (arrived_s > best)) best <= arrived_s;

            case (at)
                IDLE: if (s_axis_tvalid) begin
                    beat <= s_axis_tdata;
                    place <= s_axis_tdata[52 +: LA];
                    neuron <= s_axis_tdata[32 +: CB];
                    case (s_axis_tdata[63:60])
                        IN_EVENT: at <= EVENT_0;
                        IN_CURRENT: at <= CURRENT_0;
                        IN_STEP: begin report <= s_axis_tdata[1:0]; place <= FIRST_POPULATION; at <= PLACE_0; end
                        IN_BEGIN: begin announce <= 1'b1; address <= 0; now <= 0; slot <= 0; at <= CLEAR_0; end
                        IN_RESUME: begin now <= s_axis_tdata[0 +: TW]; slot <= s_axis_tdata[32 +: SA]; at <= RESUMED; end
                        default: ;
                    endcase
                end

                // every potential as it was at the beginning, and nothing on its way
                CLEAR_0: at <= CLEAR_1;
                CLEAR_1: at <= CLEAR_2;
                CLEAR_2: begin clearing <= 0; at <= CLEAR_SLOTS; end
                CLEAR_SLOTS: if (clearing == SLOTS - 1) begin
                    address <= address + 1;
                    at <= (address != NEURONS - 1) ? CLEAR_0 : announce ? BEGUN : IDLE;
                end else clearing <= clearing + 1;
                BEGUN: if (m_axis_tready) at <= IDLE;
                RESUMED: if (m_axis_tready) at <= IDLE;

                // an event from outside
                EVENT_0: at <= EVENT_1;
                EVENT_1: begin
                    first_projection <= place_q[P3 +: JA];
                    n_projections <= place_q[P4 +: JA + 1];
                    payload <= value[PW-1:0];
                    from_input <= 1'b1;
                    sending <= 0;
                    at <= SEND_0;
                end

                // a current from outside
                CURRENT_0: at <= CURRENT_1;
                CURRENT_1: begin address <= place_q[P1 +: NA] + neuron; at <= CURRENT_2; end
                CURRENT_2: at <= CURRENT_3;
                CURRENT_3: begin x <= arrived_s + value; at <= CURRENT_4; end
                CURRENT_4: at <= IDLE;

                // a population
                PLACE_0: at <= (place == PLACES) ? STEP_END : PLACE_1;
                PLACE_1: begin
                    kind <= place_q[3:0];
                    first <= place_q[P1 +: NA];
                    count <= place_q[P2 +: CB];
                    first_projection <= place_q[P3 +: JA];
                    n_projections <= place_q[P4 +: JA + 1];
                    opens <= place_q[P5 +: TW];
                    closes <= place_q[P6 +: TW];
                    low <= place_q[P7 +: OW];
                    range <= place_q[P8 +: QW];
                    shown <= place_q[P9];
                    windows <= place_q[P10 +: RA];
                    from_input <= 1'b0;
                    neuron <= 0;
                    address <= place_q[P1 +: NA];
                    at <= PLACE_2;
                end
                PLACE_2: if (idles) begin
                    place <= place + 1;
                    at <= PLACE_0;
                end else at <= NEURON_0;

                // a neuron: what it knows, what has arrived
                NEURON_0: at <= NEURON_1;
                NEURON_1: begin
                    v <= v_f;
                    if (KINDS[LEAKY]) begin u <= u_f; port <= address + count; end
                    index <= 1;
                    sent <= sent_f;
                    phase <= phase_f;
                    deaf <= deaf_f;
                    active <= (deaf_f == 0);
                    x <= arrived_s;
                    payload <= 0;
                    at <= NEURON_2;
                end
                NEURON_2: begin
                    threshold <= threshold_f;
                    extra <= extra_f;
                    deaf_for <= deaf_for_f;
                    table_at <= table_f;
                    if (KINDS[LEAKY]) begin leak_u <= leak_u_f; leak_v <= leak_v_f; steps_at <= table_f + 1; end
                    x <= x + share;
                    if (presents && PRESENT != 0) phase <= carries ? phase_sum - PRESENT : phase_sum;
                    at <= (kind == MAXIMUM && KINDS[MAXIMUM]) ? WINDOW : (kind == LEAKY && KINDS[LEAKY]) ? PORT_0 : NEURON_3;
                end
                // a leaky unit: what arrived at further ports, each shifted; then both leaks
                PORT_0: if (KINDS[LEAKY]) at <= (index >= range) ? LEAK_0 : PORT_1;
                PORT_1: if (KINDS[LEAKY]) at <= PORT_2;
                PORT_2: if (KINDS[LEAKY]) begin
                    x <= x + (arrived_s >>> steps_q);
                    port <= port + count;
                    index <= index + 1;
                    steps_at <= steps_at + 1;
                    at <= PORT_0;
                end
                LEAK_0: if (KINDS[LEAKY]) begin leaked <= u * $signed({1'b0, leak_u}); at <= LEAK_1; end
                LEAK_1: if (KINDS[LEAKY]) begin u <= u_next; at <= LEAK_2; end
                LEAK_2: if (KINDS[LEAKY]) begin leaked <= $signed(v[VW-1:0]) * $signed({1'b0, leak_v}); at <= LEAK_3; end
                LEAK_3: if (KINDS[LEAKY]) begin
                    v <= (v_sum > 8388607) ? 8388607 : (v_sum < -8388607) ? -8388607 : v_sum;
                    at <= NEURON_4;
                end

                NEURON_3: begin
                    case (kind)
                        PHASED: if (KINDS[PHASED]) v <= v + x + (is_open ? extra : (now == closes) ? -extra : 0);
                        FIRES: if (KINDS[FIRES]) begin
                            if (active) v <= fit(v + x);
                            else deaf <= deaf - 1;
                        end
                        MEMORYLESS: if (KINDS[MEMORYLESS]) v <= fit(x);
                        default: v <= v + x;
                    endcase
                    at <= NEURON_4;
                end
                NEURON_4: begin
                    at <= WRITE;
                    case (kind)
                        SIGNED: if (KINDS[SIGNED]) begin
                            if (v >= threshold && sent_s < $signed({1'b0, range})) begin
                                payload <= 1; v <= v - threshold; sent <= sent + 1;
                            end else if (v < 0 && sent_s > low) begin
                                payload <= -1; v <= v + threshold; sent <= sent - 1;
                            end
                        end
                        PLAIN, PHASED: if (KINDS[PLAIN] || KINDS[PHASED]) begin
                            if (v >= threshold) begin payload <= 1; v <= v - threshold; end
                        end
                        RADIX: if (KINDS[RADIX]) begin
                            if (in_phase && v >= binary) begin payload <= digit; v <= v - binary; end
                        end
                        GRADED, BANK: if ((KINDS[GRADED] || KINDS[BANK]) && is_open) begin
                            left <= (kind == GRADED) ? v - extra : v;   // extra is the lowest count times the threshold
                            x <= threshold <<< (QW - 1);
                            index <= QW - 1;
                            quotient <= 0;
                            at <= DIVIDE;
                        end
                        FIRES: if (KINDS[FIRES]) begin
                            if (fires) begin
                                payload <= 1;
                                v <= (TO_VALUE != 0) ? extra : fit(v - threshold);
                                deaf <= deaf_for;
                            end
                        end
                        MEMORYLESS: if (KINDS[MEMORYLESS]) payload <= beyond ? 1 : 0;
                        LEAKY: if (KINDS[LEAKY] && v > threshold) begin payload <= 1; v <= 0; end
                        STAIRCASE: if (KINDS[STAIRCASE]) begin
                            // the step above what was sent so far, then the one below
                            index <= 0;
                            quotient <= climbed;
                            at <= TABLE_0;
                            steps_at <= table_at + climbed;
                        end
                        LEVELS: if (KINDS[LEVELS] && is_open) begin
                            index <= 0; quotient <= 0; steps_at <= table_at; at <= TABLE_0;
                        end
                        THERMOMETER: if (KINDS[THERMOMETER] && in_phase) begin
                            index <= 0; steps_at <= table_at + since; at <= TABLE_0;
                        end
                        DIGITS: if (KINDS[DIGITS] && in_phase) begin
                            index <= 0;
                            if (digit_end <= range) begin steps_at <= table_at + digit_end - 1; at <= TABLE_0; end
                        end
                        default: ;
                    endcase
                end

                // bits of a count, largest first: each as long as it fits, and the count with it stays in its range
                DIVIDE: begin
                    if (tried <= {1'b0, range} && left >= x) begin left <= left - x; quotient <= tried; end
                    x <= x >>> 1;
                    index <= index - 1;
                    if (index == 0) begin
                        if (kind == GRADED) begin
                            v <= (tried <= {1'b0, range} && left >= x) ? left - x : left;
                            payload <= low + $signed({1'b0, (tried <= {1'b0, range} && left >= x) ? tried : quotient});
                        end else
                            payload <= $signed({1'b0, (tried <= {1'b0, range} && left >= x) ? tried : quotient});
                        at <= WRITE;
                    end
                end

                TABLE_0: at <= TABLE_1;
                TABLE_1: begin
                    at <= WRITE;
                    case (kind)
                        STAIRCASE:
                            if (index == 0 && quotient < range && v >= steps_s) begin payload <= 1; sent <= sent + 1; end
                            else if (index == 0 && quotient != 0) begin index <= 1; steps_at <= table_at + quotient - 1; at <= TABLE_0; end
                            else if (index == 1 && v < steps_s) begin payload <= -1; sent <= sent - 1; end
                        LEVELS: begin
                            // thresholds never fall: the first one that is not reached is the last one to look at
                            payload <= low + $signed({1'b0, quotient}) + ((v >= steps_s) ? 1 : 0);
                            quotient <= quotient + 1;
                            steps_at <= steps_at + 1;
                            if (v >= steps_s && quotient + 1 != range) at <= TABLE_0;
                        end
                        DIGITS: if (v >= steps_s) begin payload <= digit_end - sent_so_far; sent <= digit_end; end
                        default: payload <= (v >= steps_s) ? 1 : 0;
                    endcase
                end

                // the largest of a window
                WINDOW: begin row_at <= windows + neuron; sending <= 0; at <= ROW_READ; end
                LARGEST: begin
                    gathering <= 1'b0;
                    payload <= 0;
                    if (!(closes != 0 && now != opens)) begin
                        payload <= best - sent_s;
                        sent <= best;
                    end
                    at <= WRITE;
                end

                WRITE: begin
                    sending <= 0;
                    at <= (payload != 0) ? SPIKE : tells ? POTENTIAL : NEXT;
                end
                SPIKE: if (m_axis_tready) at <= SEND_0;

                // to all projections, one after the other
                SEND_0: if (sending == n_projections) begin
                    at <= from_input ? IDLE : tells ? POTENTIAL : NEXT;
                end else begin
                    projection_at <= first_projection + sending;
                    at <= SEND_1;
                end
                SEND_1: at <= ROW_0;
                ROW_0: begin
                    row_at <= projection_q[0 +: RA] + neuron;
                    into <= (slot + projection_q[RA +: SA] >= SLOTS) ? slot + projection_q[RA +: SA] - SLOTS : slot + projection_q[RA +: SA];
                    sending <= sending + 1;
                    at <= ROW_READ;
                end
                ROW_READ: at <= ROW_1;
                ROW_1: begin
                    if (kind == MAXIMUM && KINDS[MAXIMUM] && !from_input && sending == 0) begin
                        gathering <= 1'b1;
                        into <= slot;
                        best <= -(1 <<< (IW - 2));
                    end
                    pattern_at <= row_q[0 +: PA];
                    pattern_left <= row_q[R1 +: LB];
                    first_weight <= row_q[R2 +: WA];
                    first_target <= row_q[R3 +: NA];
                    issue <= (row_q[R1 +: LB] != 0);
                    at <= WALK;
                end
                WALK: if (!walking) at <= gathering ? LARGEST : SEND_0;

                POTENTIAL: if (m_axis_tready) at <= (kind == LEAKY && KINDS[LEAKY]) ? SECOND : NEXT;
                SECOND: if (m_axis_tready) at <= NEXT;
                NEXT: begin
                    neuron <= neuron + 1;
                    address <= address + 1;
                    if (last_neuron) place <= place + 1;
                    at <= last_neuron ? PLACE_0 : NEURON_0;
                end
                STEP_END: if (m_axis_tready) begin
                    if (now != {TW{1'b1}}) now <= now + 1;
                    slot <= (slot == SLOTS - 1) ? 0 : slot + 1;
                    at <= IDLE;
                end
                default: at <= IDLE;
            endcase
        end
    end

    // Widths come from proved bounds. In simulation nothing that leaves them passes unseen.
`ifndef SYNTHESIS
    always @(posedge clk) if (resetn) begin
        if (at == WRITE && v !== $signed(v[VW-1:0])) begin
            $display("BEYOND potential of place %0d, neuron %0d: %0d in %0d bits", place, neuron, v, VW);
            $finish;
        end
        if (WRAPS == 0 && at == WALK && valid_4 && !gathering && after !== $signed(after[AW-1:0])) begin
            $display("BEYOND what arrives at %0d: %0d in %0d bits", target_written, after, AW);
            $finish;
        end
        if (at == CURRENT_4 && x !== $signed(x[AW-1:0])) begin
            $display("BEYOND what arrives at %0d: %0d in %0d bits", address, x, AW);
            $finish;
        end
        if (at == EVENT_1 && value !== $signed(value[PW-1:0])) begin
            $display("BEYOND payload of an event from outside: %0d in %0d bits", value, PW);
            $finish;
        end
    end
`endif
endmodule

`default_nettype wire
