//! Resampling, as `Resize`.

use super::ExportError;
use super::emit::{Emitter, axes, float, int, text, unsupported};
use crate::formats::onnx::proto::AttributeProto;
use crate::ir::{Dim, Interpolation, NodeId, Target, Upsample};

impl Emitter<'_> {
    /// A resampling with PyTorch's coordinates. Its `bicubic` has the coefficient -0.75, which is ONNX's default.
    pub(super) fn upsample(&mut self, id: NodeId, upsample: &Upsample, x: &[&str]) -> Result<String, ExportError> {
        let node = self.graph_node(id);
        let (name, rank) = (node.name.as_str(), self.rank(id));
        let one = x.first().copied().unwrap_or_default();
        let how = attributes(upsample);
        match upsample.target {
            Target::Factor(factors) => match self.scales(id, factors) {
                Some(scales) => {
                    let scales = self.values(&format!("{name}.scales"), vec![scales.len()], scales);
                    Ok(self.push("Resize", name, &[one, "", &scales], how))
                }
                // the sizes are a rounding away from the factors, and coordinates follow them
                None => self.resize(id, one, self.sizes(id), how),
            },
            Target::Size(size) => self.resize(id, one, axes(size, rank), how),
            Target::Like => {
                let like = x.get(1).copied().ok_or_else(|| unsupported(node, "its second operand is missing".to_owned()))?;
                let map = self.push("Shape", &format!("{name}.map"), &[like], vec![int("start", 2)]);
                Ok(self.resize_to(name, one, &map, how))
            }
        }
    }

    fn resize(&mut self, id: NodeId, x: &str, sizes: Vec<i64>, how: Vec<AttributeProto>) -> Result<String, ExportError> {
        let name = self.graph_node(id).name.as_str();
        let map = self.numbers(&format!("{name}.map"), &sizes);
        Ok(self.resize_to(name, x, &map, how))
    }

    /// To the rows and columns in the value `map`.
    fn resize_to(&mut self, name: &str, x: &str, map: &str, how: Vec<AttributeProto>) -> String {
        let lead = self.push("Shape", &format!("{name}.lead"), &[x], vec![int("end", 2)]);
        let sizes = self.push("Concat", &format!("{name}.sizes"), &[&lead, map], vec![int("axis", 0)]);
        self.push("Resize", name, &[x, "", "", &sizes], how)
    }

    /// The factors of all axes; `None` if ONNX, which stores them in f32, would compute another size from them.
    fn scales(&self, id: NodeId, factors: [f64; 2]) -> Option<Vec<f32>> {
        let (from, to) = (self.operand(id)?.dims()?, self.result(id).dims()?);
        let rank = self.rank(id);
        let own = &factors[2 - rank.clamp(1, 2)..];
        let fits = |((from, to), factor): ((&Dim, &Dim), &f64)| match (from.fixed(), to.fixed()) {
            (Some(from), Some(to)) => (from as f32 * *factor as f32).floor() as usize == to,
            // only a factor of 1 goes with a free size
            _ => true,
        };
        from[1..].iter().zip(&to[1..]).zip(own).all(fits).then(|| {
            let own = own.iter().map(|&factor| factor as f32);
            [1.0, 1.0].into_iter().chain(own).collect()
        })
    }

    /// The rows and columns of the result.
    fn sizes(&self, id: NodeId) -> Vec<i64> {
        let map = self.result(id).map().unwrap_or_default();
        map.iter().map(|dim| dim.fixed().and_then(|n| i64::try_from(n).ok()).unwrap_or(i64::MAX)).collect()
    }
}

fn attributes(upsample: &Upsample) -> Vec<AttributeProto> {
    let coordinates = |transform| text("coordinate_transformation_mode", transform);
    let transform = if upsample.align_corners { "align_corners" } else { "half_pixel" };
    match upsample.mode {
        // pixel `floor(i * from / to)`
        Interpolation::Nearest => vec![coordinates("asymmetric"), text("mode", "nearest"), text("nearest_mode", "floor")],
        // pixel `floor((i + 0.5) * from / to)`
        Interpolation::NearestExact => {
            vec![coordinates("half_pixel"), text("mode", "nearest"), text("nearest_mode", "round_prefer_ceil")]
        }
        Interpolation::Bilinear => vec![coordinates(transform), text("mode", "linear")],
        Interpolation::Bicubic => vec![coordinates(transform), float("cubic_coeff_a", -0.75), text("mode", "cubic")],
    }
}
