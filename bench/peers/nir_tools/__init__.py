"""How each simulator reads, runs and writes NIR; a module imports nothing but its simulator."""
