//! Parameters of convolutions with standardized weights.

use super::attrs::{Conv, Standardize};
use super::params::{Param, ParamRole, ParamSource};

impl Standardize {
    /// The factor of each filter besides its gain, for filters of this many elements.
    pub fn scale(&self, fan_in: usize) -> f64 {
        self.gain.map_or(1.0, |gain| gain / (fan_in.max(1) as f64).sqrt())
    }
}

impl Conv {
    /// The parameters of the same convolution without standardization, whose weight is derived from those given. `None` if nothing is
    /// standardized, or the parameters are derived already.
    pub fn standardized(&self, params: &[Param]) -> Option<Vec<Param>> {
        let standardize = self.standardize?;
        let find = |role: ParamRole| params.iter().find(|param| param.role == role);
        let named = |param: &Param| match &param.source {
            ParamSource::Named(name) => Some(name.clone()),
            _ => None,
        };
        let weight = find(ParamRole::Weight)?;
        let fan_in = weight.shape.iter().skip(1).product();
        let source = ParamSource::Standardized {
            weight: named(weight)?,
            gain: find(ParamRole::Gain).and_then(named),
            filters: self.filters,
            eps: standardize.eps,
            scale: standardize.scale(fan_in),
        };
        let derived = Param { source, ..weight.clone() };
        let others = params.iter().filter(|param| !matches!(param.role, ParamRole::Weight | ParamRole::Gain)).cloned();
        Some(std::iter::once(derived).chain(others).collect())
    }
}
