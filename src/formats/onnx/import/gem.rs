//! Imports generalized-mean pooling: the root of a mean of powers, whose exponent is a constant of the file.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::Flow;
use super::values::{Known, Powers};
use crate::base::tensor::Tensor;
use crate::ir::{Elementwise, Gem, Op};

impl Importer<'_> {
    /// The result of a node of a generalized mean; `None` if it is no part of one.
    pub(super) fn of_powers(&mut self, call: &Call<'_>) -> Option<ImportResult<Known>> {
        match (call.node.op_type(), self.known(call, 0)?.clone()) {
            ("Pow", Known::Value(x)) => self.power_of_pool(call, &x).map(|powers| Ok(Known::Powers(powers))),
            ("Pow", Known::Powers(powers)) => Some(self.root(call, powers)),
            ("GlobalAveragePool" | "ReduceMean", Known::Powers(powers)) => Some(self.mean_of_powers(call, powers)),
            _ => None,
        }
    }

    fn power_of_pool(&self, call: &Call<'_>, x: &Flow) -> Option<Powers> {
        let output = call.node.output.first()?;
        let Known::Tensor(name, p) = self.known(call, 1)?.clone() else { return None };
        let clip = self.graph.node(x.value.node).op.as_elementwise()?;
        let eps = clip.numbers.iter().find(|number| number.key == "min")?.value;
        let is_clip = **clip == Elementwise::clamp(eps, f32::INFINITY) && eps > 0.0;
        let value = *self.graph.operands(x.value.node).first()?;
        let (&[p], true, true) = (&*p.to_f32(), is_clip, self.powers.contains(output.as_str())) else { return None };
        let is_map = x.dims().len() == 3 && p.is_finite() && p > 0.0;
        is_map.then(|| Powers { x: Flow { value, ..x.clone() }, eps, name, p, is_mean: false })
    }

    fn mean_of_powers(&self, call: &Call<'_>, powers: Powers) -> ImportResult<Known> {
        let mut axes = self.list(call, "axes", 1)?.unwrap_or_default();
        let counted = axes.iter_mut().map(|axis| powers.x.axis(*axis)).collect::<Result<Vec<_>, _>>()?;
        let map: Vec<usize> = (powers.x.lead + 1..powers.x.rank()).collect();
        let is_global = call.node.op_type() == "GlobalAveragePool" || (counted == map && call.int("keepdims") != Some(0));
        if !is_global || powers.is_mean {
            return Err("it is a mean of powers over other axes than the places".to_owned());
        }
        Ok(Known::Powers(Powers { is_mean: true, ..powers }))
    }

    fn root(&mut self, call: &Call<'_>, powers: Powers) -> ImportResult<Known> {
        let exponent = self.number(call, 1, "exponent")?.ok_or("its exponent is missing")?;
        let is_root = powers.is_mean && (exponent * powers.p - 1.0).abs() < 1e-5;
        if !is_root {
            return Err(format!("it is no root of a mean of powers: {exponent} is not the inverse of {}", powers.p));
        }
        let decimal = |x: f32| x.to_string().parse().unwrap_or(f64::from(x));
        let layer = self.layer(call, &powers.name, "gem");
        let op = Op::Gem(Gem { p: decimal(powers.p), eps: decimal(powers.eps) });
        let y = self.add_named(op, layer, &[&powers.x])?;
        let p = Tensor::from_f32(vec![1], vec![powers.p]).ok_or("its exponent is no number")?;
        self.store(&y, "p", p);
        Ok(Known::Value(y))
    }
}
