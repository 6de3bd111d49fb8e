# Objects to an #include of a floor that is not below. Reads the sources; -v files=LIST of all files, -v build=DIR of generated ones.
#
# Floors, lowest first; a file may include files of its own unit and of units with a lower number.
BEGIN {
  split("base 0 json 1 quant 1 core 2 loader 2 text 3 grammar 4 backend 3 abi 3 cpu 4 gpu 4 kv 5 experts 5 block 6 model 7 engine 8 api 9", rows, " ")
  for (i = 1; i in rows; i += 2) floor[rows[i]] = rows[i + 1]
  os = "^(unistd|pthread|fcntl|dirent|poll|sched|dlfcn|signal|spawn|termios|semaphore|ucontext|sys/.*|linux/.*|asm/.*|windows)\\.h$"
  while ((getline path < files) > 0) {
    name = path
    sub(/.*\//, "", name)
    where[name] = path
  }
}

# The unit of a file: its folder under runtime/, or what it is among the files of runtime/ itself.
function unit(path, parts) {
  if (path ~ /^runtime\/(pumice[._]|public\.)/) return "api"
  if (path == "runtime/backend.h") return "backend"
  if (split(path, parts, "/") == 2) return parts[1] == "runtime" ? "core" : parts[1]
  return parts[1] == "runtime" || parts[1] == "shaders" ? parts[2] : parts[1]
}

function object(why) { print FILENAME ":" FNR ": " why ": " $0 }

function generated(name) { return system("test -n \"$(find '" build "' -name '" name "' -print -quit)\"") == 0 }

/^ *# *include/ {
  from = unit(FILENAME)
  if ($0 ~ /</) {
    name = $0
    gsub(/.*<|>.*/, "", name)
    if (name ~ os && from != "base" && from != "apps" && from != "tests") object("calls of the operating system live in runtime/base")
    next
  }
  name = $0
  gsub(/^[^"]*"|".*/, "", name)
  if (name ~ /\//) { object("includes are by plain name"); next }
  if (!(name in where)) {
    if (!generated(name)) object("no such file in the project")
    next
  }
  to = unit(where[name])
  if (from == "tests" || from == to) next
  if (from == "apps") { if (to != "api") object("programs see only pumice.h"); next }
  if (to == "abi" && from != "gpu") object("shaders are the business of runtime/gpu")
  else if (!(to in floor) || !(from in floor) || floor[to] >= floor[from]) object(to " is not below " from)
}
