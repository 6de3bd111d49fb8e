# Prints "lines file:line" for each C function. By the project's format a body opens at the end of a line that starts in column one,
# or of that line's continuation, and closes with a brace in column one.
FNR == 1 { start = 0; open = 0 }
/^[A-Za-z_]/ && !/;$/ { start = FNR; open = /\) \{$/ }
/^ .*\) \{$/ && start && !open && FNR - start < 8 { open = 1 }
/^}/ { if (open) print FNR - start + 1, FILENAME ":" start; start = 0; open = 0 }
