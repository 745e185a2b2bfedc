"""Shows a search in MLflow. The only folder that imports mlflow."""
