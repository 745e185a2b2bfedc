"""Options, command line, YAML files and presets, resolved into one frozen workload."""
