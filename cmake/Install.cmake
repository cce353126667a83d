# `cmake --install BUILD --component musaic`: the program, the plugin header, documents, examples, licences and service file.
include(GNUInstallDirs)
if(TARGET musaic)
  # Where scripts/dist.sh puts the libraries that it brings; elsewhere the system's are found.
  set_target_properties(musaic PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/musaic")
  install(TARGETS musaic RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT musaic)
endif()
install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT musaic)
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT musaic)
install(FILES LICENSE NOTICE README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT musaic)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT musaic FILES_MATCHING PATTERN "*.md")
install(FILES packaging/musaic.service DESTINATION lib/systemd/system COMPONENT musaic)
