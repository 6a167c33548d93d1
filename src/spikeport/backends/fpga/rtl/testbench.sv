// Drives the core with the beats of a file, and writes what it answers to another, or compares it with what is expected.
//
//   +stimulus=FILE  beats, one hexadecimal number a line; kind f belongs to the testbench: place 0 keeps the state of sample `index`,
//                   1 brings it back
//   +response=FILE  what the core answers, as far as it is wanted
//   +expected=FILE  what it should answer; the first beat that differs ends the run
//   +throttle=N     in N of 16 cycles nothing is sent, and in N of 16 nothing is taken
//   +limit=N        cycles within which a beat has to be taken

`timescale 1ns / 1ps

module testbench;
    reg clk = 1'b0;
    reg resetn = 1'b0;
    reg [63:0] s_axis_tdata = 64'b0;
    reg s_axis_tvalid = 1'b0;
    wire s_axis_tready;
    wire [63:0] m_axis_tdata;
    wire m_axis_tvalid;
    wire m_axis_tlast;
    reg m_axis_tready = 1'b0;

    spikeport_top dut (.*);

    always #5 clk = !clk;

    reg [8*64-1:0] stimulus_name, response_name, expected_name, state_name;
    integer stimulus, response, expected, throttle, limit, found, matched;
    integer n_taken, n_told, n_wrong, waited;
    reg [63:0] beat, wanted;
    reg [63:0] cycles, began;
    reg [31:0] dice;
    reg ended;

    // what the core answers
    always @(posedge clk) begin
        dice <= {dice[30:0], dice[31] ^ dice[21] ^ dice[1] ^ dice[0]};
        cycles <= cycles + 1;
        m_axis_tready <= (dice[3:0] >= throttle);
        if (resetn && m_axis_tvalid && m_axis_tready) begin
            n_told <= n_told + 1;
            if (response != 0) $fdisplay(response, "%h", m_axis_tdata);
            if (expected != 0) begin
                matched = $fscanf(expected, "%h", wanted);
                if (matched != 1) begin
                    $display("FAIL: %h is more than was expected", m_axis_tdata);
                    $finish;
                end else if (wanted !== m_axis_tdata) begin
                    $display("FAIL: beat %0d is %h, and %h was expected", n_told, m_axis_tdata, wanted);
                    $finish;
                end
            end
        end
    end

    initial begin
        cycles = 0; began = 0; dice = 32'hace1ace1; ended = 1'b0;
        n_taken = 0; n_told = 0; response = 0; expected = 0;
        if (!$value$plusargs("throttle=%d", throttle)) throttle = 0;
        if (!$value$plusargs("limit=%d", limit)) limit = 1000000000;
        if (!$value$plusargs("stimulus=%s", stimulus_name)) stimulus_name = "stimulus.mem";
        stimulus = $fopen(stimulus_name, "r");
        if (stimulus == 0) begin
            $display("FAIL: there is no stimulus");
            $finish;
        end
        if ($value$plusargs("response=%s", response_name)) response = $fopen(response_name, "w");
        if ($value$plusargs("expected=%s", expected_name)) expected = $fopen(expected_name, "r");
        repeat (4) @(posedge clk);
        #1 resetn = 1'b1;
        found = $fscanf(stimulus, "%h", beat);
        while (found == 1) begin
            if (beat[63:60] == 4'hf) begin
                settle;
                $sformat(state_name, "state_%0d.mem", beat[51:32]);
                if (beat[52]) $readmemh(state_name, dut.core.state); else $writememh(state_name, dut.core.state);
                $sformat(state_name, "arrived_%0d.mem", beat[51:32]);
                if (beat[52]) $readmemh(state_name, dut.core.arrived); else $writememh(state_name, dut.core.arrived);
                if (!beat[52] && response != 0) $fdisplay(response, "f%h", {28'b0, cycles[31:0] - began[31:0]});
                began = cycles;
            end else begin
                while (throttle != 0 && dice[7:4] < throttle) @(posedge clk) #1;
                s_axis_tdata = beat;
                s_axis_tvalid = 1'b1;
                waited = 0;
                @(negedge clk);
                while (!s_axis_tready && waited < limit) begin @(negedge clk); waited = waited + 1; end
                if (waited == limit) begin
                    $display("FAIL: the core takes nothing any more, for %0d cycles", limit);
                    $finish;
                end
                @(posedge clk);
                #1 s_axis_tvalid = 1'b0;
                n_taken = n_taken + 1;
            end
            found = $fscanf(stimulus, "%h", beat);
        end
        settle;
        if (expected != 0) begin
            found = $fscanf(expected, "%h", wanted);
            if (found == 1) begin
                $display("FAIL: %h was expected, and did not come", wanted);
                $finish;
            end
        end
        if (response != 0) $fclose(response);
        $display("PASS: %0d beats in, %0d out, %0d cycles", n_taken, n_told, cycles);
        $finish;
    end

    // until the core waits for a beat, and has told everything
    task settle;
        begin
            @(negedge clk);
            while (!s_axis_tready) @(negedge clk);
            @(posedge clk);
            #1;
        end
    endtask
endmodule
