"""MLflow. Nothing outside this folder imports it."""
