//! Convolution strategies, GEMM, pooling, element-wise. Imports `base` alone.
