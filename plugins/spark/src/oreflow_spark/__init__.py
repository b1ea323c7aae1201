"""The Spark engine of oreflow. Nothing is imported here, so that describing the engine stays cheap."""
