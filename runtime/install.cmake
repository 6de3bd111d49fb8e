# `cmake --install`: the library, its header, and what pkg-config and find_package(pumice) need.
file(RELATIVE_PATH library_from_program ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR})
foreach(program pumice pumice-gui)
  if(TARGET ${program})
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/${library_from_program}")
  endif()
endforeach()
set_target_properties(pumice_lib PROPERTIES EXPORT_NAME pumice)

install(TARGETS pumice_lib EXPORT pumice
        LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT libpumice0 NAMELINK_COMPONENT libpumice-dev
        PUBLIC_HEADER DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT libpumice-dev
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

# find_package(pumice) gives the target pumice::pumice.
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/pumice-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT pumice NAMESPACE pumice:: FILE pumice-config.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/pumice COMPONENT libpumice-dev)
install(FILES ${CMAKE_BINARY_DIR}/pumice-config-version.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/pumice COMPONENT libpumice-dev)

# The prefix of the .pc file is found from where the file lies, so that an installed tree may be moved.
file(RELATIVE_PATH prefix_from_pc ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/pumice.pc.in ${CMAKE_BINARY_DIR}/pumice.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pumice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT libpumice-dev)
