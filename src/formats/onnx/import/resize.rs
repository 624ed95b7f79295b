//! Imports resampling: by factors, to a size, or to the size of another value.

use super::Importer;
use super::call::Call;
use super::dispatch::ImportResult;
use super::flow::{Flow, Size};
use super::values::Known;
use crate::ir::{Interpolation, Op, Shape, Target, Upsample, Value, infer_shape};

/// How the file computes the place in the operand of each position.
struct Coordinates<'a> {
    transform: &'a str,
    /// How `nearest` rounds a place.
    nearest: &'a str,
    /// The factors of rows and columns, if the file states these rather than sizes.
    scales: Option<[f64; 2]>,
}

impl Importer<'_> {
    pub(super) fn resize(&mut self, call: &Call<'_>) -> ImportResult<Flow> {
        let x = self.flow(call, 0)?;
        if !(1..=2).contains(&(x.dims().len().saturating_sub(1))) {
            return Err(format!("it resizes {}", x.shape));
        }
        let mode = interpolation(call, &x)?;
        // the scales of Upsample, and of Resize in opset 10, are operand 1; later opsets have a region there
        let early = call.node.op_type() == "Upsample" || self.opset < 11;
        let scales = self.scales(call, if early { 1 } else { 2 })?;
        let sizes = if early { None } else { self.known(call, 3).filter(|_| call.has(3)).cloned() };
        let axes = resized_axes(call, &x)?;
        let factors = scales.as_ref().map(|scales| factors(scales, &axes, &x)).transpose()?;
        let coordinates = Coordinates {
            transform: call.text("coordinate_transformation_mode", if early { "asymmetric" } else { "half_pixel" }),
            nearest: call.text("nearest_mode", if early { "floor" } else { "round_prefer_floor" }),
            scales: factors,
        };
        let (target, like) = match (factors, &sizes) {
            (Some(factors), _) => (Target::Factor(factors), None),
            (None, Some(sizes)) => self.target(&x, sizes, &axes)?,
            (None, None) => return Err("it has neither scales nor sizes".to_owned()),
        };
        let upsample = coordinates.upsample(mode, target, &x)?;
        let operands: Vec<&Flow> = std::iter::once(&x).chain(&like).collect();
        self.add(call, Op::Upsample(upsample), &operands)
    }

    fn scales(&self, call: &Call<'_>, slot: usize) -> ImportResult<Option<Vec<f32>>> {
        if let Some(attribute) = call.attribute("scales") {
            return Ok(Some(attribute.floats.clone()));
        }
        let scales = self.tensor(call, slot, "scales")?;
        Ok(scales.map(|(_, tensor)| tensor.to_f32().into_owned()).filter(|scales| !scales.is_empty()))
    }

    /// The size that `sizes` states for some axes: as factors, if they are integers.
    fn target(&self, x: &Flow, sizes: &Known, axes: &[usize]) -> ImportResult<(Target, Option<Flow>)> {
        let list = sizes.sizes().ok_or("its sizes are no integers")?.0;
        let (mut times, mut size, mut is_fixed) = ([1.0; 2], [1; 2], list.len() == axes.len());
        let is_factor = |to: usize, from: usize| to > 0 && to.is_multiple_of(from.max(1));
        let mut are_factors = true;
        for (axis, dim) in x.dims().iter().enumerate() {
            let stated = axes.iter().position(|&own| own == x.lead + axis).and_then(|at| list.get(at));
            let to = match stated {
                Some(stated) => stated.number().and_then(|n| usize::try_from(n).ok()),
                None => dim.fixed(),
            };
            match (axis, to, dim.fixed()) {
                (0, Some(to), Some(from)) => is_fixed &= to == from,
                (0, ..) => {}
                (_, Some(to), from) => {
                    let at = axis + 2 - x.dims().len();
                    size[at] = to;
                    let from = from.filter(|&from| is_factor(to, from));
                    are_factors &= from.is_some();
                    times[at] = to as f64 / from.unwrap_or(1) as f64;
                }
                (_, None, _) => is_fixed = false,
            }
        }
        if is_fixed && are_factors {
            return Ok((Target::Factor(times), None));
        }
        match self.like(x, &list, axes) {
            Some(like) => Ok((Target::Like, Some(like))),
            None if is_fixed => Ok((Target::Size(size), None)),
            None => Err("its sizes are neither fixed nor those of another value".to_owned()),
        }
    }

    /// The value with these spatial sizes.
    fn like(&self, x: &Flow, list: &[Size], axes: &[usize]) -> Option<Flow> {
        let mut found: Option<Value> = None;
        for axis in 1..x.dims().len() {
            let at = axes.iter().position(|&own| own == x.lead + axis)?;
            let Size::Of { value, axis: own, .. } = *list.get(at)? else { return None };
            if own != axis || found.is_some_and(|v| v != value) {
                return None;
            }
            found = Some(value);
        }
        let value = found?;
        let shape: &Shape = self.shapes.get(value.node.index())?;
        (shape.dims()?.len() == x.dims().len()).then(|| Flow { value, shape: shape.clone(), lead: x.lead })
    }
}

impl Coordinates<'_> {
    /// The resampling of the language that takes its values from the same places; an error if there is none.
    fn upsample(&self, mode: Interpolation, target: Target, x: &Flow) -> ImportResult<Upsample> {
        let modes = match mode {
            Interpolation::Nearest => vec![(mode, false), (Interpolation::NearestExact, false)],
            mode => vec![(mode, false), (mode, true)],
        };
        let all = modes.into_iter().map(|(mode, align_corners)| Upsample { mode, target, align_corners });
        let same = |upsample: &Upsample| self.is_always(upsample, x) || self.is_at_these_sizes(upsample, x);
        all.into_iter().find(same).ok_or_else(|| {
            let rounding = if mode == Interpolation::Nearest { format!(", `{}`", self.nearest) } else { String::new() };
            format!("its coordinates are computed by `{}`{rounding}, and not as PyTorch does", self.transform)
        })
    }

    /// Whether the places are the same whatever the sizes.
    fn is_always(&self, upsample: &Upsample, x: &Flow) -> bool {
        let Coordinates { transform, nearest, .. } = *self;
        let has_one = x.dims()[1..].iter().any(|dim| dim.fixed() == Some(1));
        let is_whole = matches!(upsample.target, Target::Factor(factors) if factors.iter().all(|factor| factor.fract() == 0.0));
        let has_centers = match transform {
            "half_pixel" => true,
            // a result with one row or column takes the first, rather than the middle
            "pytorch_half_pixel" => is_whole && !has_one,
            // where the sizes need no rounding
            "half_pixel_symmetric" => is_whole,
            _ => false,
        };
        match (upsample.mode, upsample.align_corners) {
            // for integer factors, the center of each pixel is nearest to the pixel that contains it
            (Interpolation::Nearest, _) => {
                (transform, nearest) == ("asymmetric", "floor") || has_centers && is_whole && nearest.starts_with("round")
            }
            (Interpolation::NearestExact, _) => {
                (transform, nearest) == ("tf_half_pixel_for_nn", "floor") || has_centers && nearest == "round_prefer_ceil"
            }
            (_, false) => has_centers,
            (_, true) => transform == "align_corners" && (is_whole || !matches!(upsample.target, Target::Factor(_))),
        }
    }

    /// Whether the places are the same at the sizes of the file, which must be known.
    fn is_at_these_sizes(&self, upsample: &Upsample, x: &Flow) -> bool {
        let Ok(result) = infer_shape(&Op::Upsample(*upsample), std::slice::from_ref(&x.shape)) else { return false };
        let sizes = x.shape.sizes().zip(result.sizes());
        let Some((from, to)) = sizes.map(|(from, to)| (from[1..].to_vec(), to[1..].to_vec())) else { return false };
        let mut axes = from.iter().zip(&to).enumerate();
        axes.all(|(at, (&from, &to))| {
            // the last axis is the width, also for 1-D values
            let axis = at + 2 - x.dims().len().saturating_sub(1);
            to <= MAX_PLACES && (0..to).all(|place| self.is_same(upsample, axis, [from, to], place) == Some(true))
        })
    }

    /// Whether a position of the result takes its value from the same place; `None` for coordinates of another kind.
    fn is_same(&self, upsample: &Upsample, axis: usize, [from, to]: [usize; 2], place: usize) -> Option<bool> {
        let last = from as f64 - 1.0;
        let theirs = self.place(axis, [from, to], place)?;
        let step = upsample.step(axis, from, to);
        if upsample.mode.copies() {
            // both in f32, as ONNX Runtime and PyTorch compute them
            let theirs = theirs as f32;
            let theirs = match self.nearest {
                "floor" => theirs.floor(),
                "ceil" => theirs.ceil(),
                "round_prefer_floor" => (theirs - 0.5).ceil(),
                "round_prefer_ceil" => (theirs + 0.5).floor(),
                _ => return None,
            };
            let ours = ((place as f32 + upsample.mode.offset() as f32) * step as f32).floor();
            return Some(f64::from(theirs).clamp(0.0, last) == f64::from(ours).clamp(0.0, last));
        }
        let ours = if upsample.align_corners { place as f64 * step } else { (place as f64 + 0.5) * step - 0.5 };
        // beyond the ends is the value there, unless a cubic kernel reaches the others
        let within = |at: f64| if upsample.mode == Interpolation::Bicubic { at } else { at.clamp(0.0, last) };
        Some((within(ours) - within(theirs)).abs() <= CLOSE * from as f64)
    }

    /// The place in the operand that the file computes for a position along an axis (0 for rows).
    fn place(&self, axis: usize, [from, to]: [usize; 2], place: usize) -> Option<f64> {
        let (size, at) = (to as f64, place as f64);
        let whole = self.scales.map_or(size, |scales| from as f64 * scales[axis]);
        let scale = self.scales.map_or(size / from as f64, |scales| scales[axis]);
        let center = (at + 0.5) / scale - 0.5;
        Some(match self.transform {
            "asymmetric" => at / scale,
            "half_pixel" => center,
            "pytorch_half_pixel" if to == 1 => 0.0,
            "pytorch_half_pixel" => center,
            "half_pixel_symmetric" => from as f64 / 2.0 * (1.0 - size / whole) + center,
            "tf_half_pixel_for_nn" => (at + 0.5) / scale,
            "align_corners" if to == 1 => 0.0,
            // the standard divides by the size before it is rounded, and ONNX Runtime by that after it
            "align_corners" if whole != size => return None,
            "align_corners" => at * (from as f64 - 1.0) / (size - 1.0),
            _ => return None,
        })
    }
}

/// The largest size at which places are compared one by one.
const MAX_PLACES: usize = 1 << 11;

/// How far apart the places of an interpolation may be, over the size.
const CLOSE: f64 = 1e-9;

/// The mode, if the other attributes leave it as PyTorch's.
fn interpolation(call: &Call<'_>, x: &Flow) -> ImportResult<Interpolation> {
    let mode = match call.text("mode", "nearest") {
        "nearest" => Interpolation::Nearest,
        // of opset 7 to 9, and of later ones
        "bilinear" | "linear" => Interpolation::Bilinear,
        "cubic" if x.dims().len() == 2 => return Err("it is cubic along a single axis".to_owned()),
        "cubic" => Interpolation::Bicubic,
        mode => return Err(format!("its mode is `{mode}`, which the language does not have")),
    };
    let coefficient = call.float("cubic_coeff_a").unwrap_or(-0.75);
    if mode == Interpolation::Bicubic && (coefficient != -0.75 || call.flag("exclude_outside")) {
        return Err(format!(
            "its cubic coefficient is {coefficient}{}, but `bicubic` has -0.75 and repeats the border, as in PyTorch",
            if call.flag("exclude_outside") { " and it excludes what is outside" } else { "" }
        ));
    }
    if mode != Interpolation::Nearest && call.flag("antialias") {
        return Err("it is antialiased, which `upsample` is not".to_owned());
    }
    match call.text("keep_aspect_ratio_policy", "stretch") {
        "stretch" => Ok(mode),
        policy => Err(format!("its keep_aspect_ratio_policy is `{policy}`, which depends on the input")),
    }
}

/// The axes that `scales` and `sizes` are for; all of them in early opsets.
fn resized_axes(call: &Call<'_>, x: &Flow) -> ImportResult<Vec<usize>> {
    match call.ints("axes").filter(|axes| !axes.is_empty()) {
        Some(axes) => axes.iter().map(|&axis| x.axis(axis)).collect(),
        None => Ok((0..x.rank()).collect()),
    }
}

/// The factors of rows and columns, if those of the batch and the channels are 1.
fn factors(scales: &[f32], axes: &[usize], x: &Flow) -> ImportResult<[f64; 2]> {
    if scales.len() != axes.len() {
        return Err(format!("it has {} scales for {} axes", scales.len(), axes.len()));
    }
    let mut factors = [1.0; 2];
    for (&scale, &axis) in scales.iter().zip(axes) {
        if !(scale.is_finite() && scale > 0.0) {
            return Err(format!("one of its scales is {scale}"));
        }
        // the decimal that was written, not its neighbor in f32
        let scale = scale.to_string().parse().unwrap_or(f64::from(scale));
        match axis.checked_sub(x.lead) {
            Some(own @ 1..) => factors[own + 2 - x.dims().len()] = scale,
            _ if scale == 1.0 => {}
            _ => return Err("it resizes the batch or the channels".to_owned()),
        }
    }
    Ok(factors)
}
