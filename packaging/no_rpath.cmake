# CPack runs this before it packs what is installed: in the system's folders the library is found without the programs saying where.
file(GLOB programs ${CPACK_TEMPORARY_DIRECTORY}/*/usr/bin/*)
foreach(program ${programs})
  file(RPATH_REMOVE FILE ${program})
endforeach()
