"""The local TensorFlow provider: model files, runtimes and labels."""
