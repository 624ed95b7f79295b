//! Imports upsampling by integer factors, or to the size of another value.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::values::{Flow, Known, Size};
use crate::ir::{Op, Shape, Value};

impl Importer<'_> {
    pub(super) fn resize(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        let mode = call.text("mode", "nearest");
        if mode != "nearest" {
            return Err(format!("its mode is `{mode}`, but the language only has nearest-neighbor upsampling"));
        }
        if !(1..=2).contains(&(x.dims().len().saturating_sub(1))) {
            return Err(format!("it resizes {}", x.shape));
        }
        // the scales of Upsample, and of Resize in opset 10, are operand 1; later opsets have a region there
        let early = call.node.op_type() == "Upsample" || self.opset < 11;
        let scales = self.scales(call, if early { 1 } else { 2 })?;
        let sizes = if early { None } else { self.known(call, 3).filter(|_| call.has(3)).cloned() };
        let transform = call.text("coordinate_transformation_mode", if early { "asymmetric" } else { "half_pixel" });
        let nearest = call.text("nearest_mode", if early { "floor" } else { "round_prefer_floor" });
        let asymmetric = transform == "asymmetric" && nearest == "floor";
        let times = match (&scales, &sizes) {
            (Some(scales), _) => integer_factors(scales, x.lead + 1),
            (None, Some(sizes)) => self.factors(&x, sizes),
            (None, None) => return Err("it has neither scales nor sizes".to_owned()),
        };
        if let Some(times) = times {
            // for integer factors, the center of each pixel is nearest to the pixel that contains it
            let centered =
                matches!(transform, "half_pixel" | "pytorch_half_pixel" | "half_pixel_symmetric") && nearest.starts_with("round");
            if !(asymmetric || centered) || (transform == "pytorch_half_pixel" && x.dims().iter().any(|d| d.fixed() == Some(1))) {
                return Err(format!("its coordinates are computed by `{transform}`, `{nearest}`"));
            }
            return self.add(call, Op::Upsample(Some(times)), &[&x]);
        }
        let like = sizes.as_ref().and_then(|sizes| self.like(&x, sizes));
        match like {
            Some(like) if asymmetric => self.add(call, Op::Upsample(None), &[&x, &like]),
            Some(_) => Err(format!("its coordinates are computed by `{transform}`, `{nearest}`")),
            None => Err("its factors are not integers".to_owned()),
        }
    }

    fn scales(&self, call: &Call<'_>, slot: usize) -> ImportResult<Option<Vec<f32>>> {
        if let Some(attribute) = call.attribute("scales") {
            return Ok(Some(attribute.floats.clone()));
        }
        let scales = self.tensor(call, slot, "scales")?;
        Ok(scales.map(|(_, tensor)| tensor.to_f32().into_owned()).filter(|scales| !scales.is_empty()))
    }

    /// The factors to known sizes, if they are integers.
    fn factors(&self, x: &Flow, sizes: &Known) -> Option<[usize; 2]> {
        let list = sizes.sizes()?.0;
        let own = list.get(x.lead..)?;
        if own.len() != x.dims().len() || own[0].number()? != i64::try_from(x.dims()[0].fixed()?).ok()? {
            return None;
        }
        let mut times = [1; 2];
        for (axis, (size, dim)) in own.iter().zip(x.dims()).enumerate().skip(1) {
            let (to, from) = (usize::try_from(size.number()?).ok()?, dim.fixed()?);
            if to == 0 || to % from != 0 {
                return None;
            }
            times[axis + 2 - x.dims().len()] = to / from;
        }
        Some(times)
    }

    /// The value with these spatial sizes.
    fn like(&self, x: &Flow, sizes: &Known) -> Option<Flow> {
        let list = sizes.sizes()?.0;
        let own = list.get(x.lead + 1..)?;
        let mut found: Option<Value> = None;
        for (i, size) in own.iter().enumerate() {
            let Size::Of { value, axis, .. } = *size else { return None };
            if axis != i + 1 || found.is_some_and(|v| v != value) {
                return None;
            }
            found = Some(value);
        }
        let value = found?;
        let shape: &Shape = self.shapes.get(value.node.index())?;
        (shape.dims()?.len() == x.dims().len()).then(|| Flow { value, shape: shape.clone(), lead: x.lead })
    }
}

/// The spatial factors, if they are integers and those of the batch and the channels are 1.
fn integer_factors(scales: &[f32], map: usize) -> Option<[usize; 2]> {
    let (lead, own) = scales.split_at_checked(map)?;
    let is_whole = |s: &f32| (1.0..65536.0).contains(s) && s.fract() == 0.0;
    if !lead.iter().all(|s| *s == 1.0) || !own.iter().all(is_whole) {
        return None;
    }
    match *own {
        [w] => Some([1, w as usize]),
        [h, w] => Some([h as usize, w as usize]),
        _ => None,
    }
}
