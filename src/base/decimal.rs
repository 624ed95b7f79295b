//! Numbers as people write them.

/// The shortest decimal for an f32: 1e-5, not 9.999999747e-6.
pub fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}
