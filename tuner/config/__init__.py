"""Options from command line, YAML file and preset, resolved into one frozen workload."""
