//! safetensors, PyTorch files, npy, the artifact.
