//! What each section computes.

use super::super::layer_list::{Flow, leaky_relu, library};
use super::importer::{Imported, Importer};
use super::options::Options;
use crate::base::decimal::decimal;
use crate::base::tensor::Tensor;
use crate::ir::{
    BatchNorm, Conv, Elementwise, Epilogue, Linear, Op, Pad, Pair, Pool, PoolKind, Rearrange, SquareOrder, Squares, Target,
    Upsample,
};

/// The batch norm of Darknet: see the module's documentation for its epsilon. Of the running statistics, 99 % stay at each step.
const NORM: BatchNorm = BatchNorm { eps: 1e-5, momentum: 0.01 };

impl Importer {
    /// The result of a section.
    pub(super) fn section(&mut self, index: usize, options: &Options<'_>) -> Imported<Flow> {
        let x = self.current()?;
        match options.0.name {
            "convolutional" | "conv" => self.convolutional(index, options, &x),
            "connected" | "conn" => self.connected(index, options, &x),
            "batchnorm" => self.batchnorm(index, &x),
            "shortcut" => self.shortcut(index, options, &x),
            "route" => self.route(index, options),
            "maxpool" | "max" => self.maxpool(index, options, &x),
            "avgpool" | "avg" => Ok(self.build.add(Op::AdaptiveAvgPool([1, 1]), &format!("avgpool{index}"), &[&x])?),
            "softmax" | "soft" => self.softmax(index, options, &x),
            "upsample" => self.upsample(index, options, &x),
            "reorg" => self.reorg(index, options, &x),
            "activation" => self.activated(index, options.text("activation").unwrap_or("linear"), x),
            "dropout" => {
                let probability = options.float("probability", 0.5)?;
                Ok(self.build.add(Op::Dropout(decimal(probability)), &format!("dropout{index}"), &[&x])?)
            }
            "cost" => Ok(x),
            "crop" if index == 0 => {
                self.notes.insert("`[crop]` is part of `preprocess`: the input is what it yields".to_owned());
                Ok(x)
            }
            detector @ ("yolo" | "region" | "detection" | "iseg") => {
                self.notes.insert(format!(
                    "`[{detector}]` makes boxes of a map, which the language cannot say: the map is the output `{detector}{index}`"
                ));
                self.detection(format!("{detector}{index}"), &x);
                Ok(x)
            }
            "net" | "network" => Err("a file describes one network".into()),
            _ => Err("the language has no equivalent operator".into()),
        }
    }

    fn convolutional(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        for key in ["binary", "xnor", "flipped", "numload", "dontload", "dontloadscales"] {
            if options.flag(key)? {
                return Err(format!("its `{key}` is not supported").into());
            }
        }
        let filters = options.positive("filters", 1)?;
        let (size, stride) = (options.positive("size", 1)?, options.positive("stride", 1)?);
        let padding = if options.flag("pad")? { size / 2 } else { options.size("padding")?.unwrap_or(0) };
        let (groups, normalized) = (options.positive("groups", 1)?, options.flag("batch_normalize")?);
        if x.map().is_none() {
            return Err(format!("it convolves {}, but must convolve channels x height x width", x.shown()).into());
        }
        if !x.channels().is_multiple_of(groups) || filters % groups != 0 {
            return Err(format!("its {groups} groups do not divide {} channels and {filters} filters", x.channels()).into());
        }
        let op = Op::Conv(Conv {
            kernel: [size; 2],
            stride: [stride; 2],
            pad: [[padding; 2]; 2],
            groups,
            bias: !normalized,
            ..Conv::pointwise(filters)
        });
        let y = self.build.add(op, &format!("conv{index}"), &[x])?;
        let bias = self.tensor(&[filters])?;
        let norm = if normalized { self.norm_tensors(filters)? } else { None };
        let weight = self.tensor(&[filters, x.channels() / groups, size, size])?;
        self.store(&y, "weight", weight);
        self.after_weights(index, options, y, bias, norm)
    }

    fn connected(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        let features = options.positive("output", 1)?;
        let normalized = options.flag("batch_normalize")?;
        let x = self.build.flat(x, &format!("connected{index}"))?;
        let op = Op::Linear(Linear { features, bias: !normalized, epilogue: Epilogue::default() });
        let y = self.build.add(op, &format!("connected{index}"), &[&x])?;
        let bias = self.tensor(&[features])?;
        let weight = self.matrix(features, x.channels())?;
        let norm = if normalized { self.norm_tensors(features)? } else { None };
        self.store(&y, "weight", weight);
        self.after_weights(index, options, y, bias, norm)
    }

    /// What follows the weights of a layer: its norm or its bias, and its activation.
    fn after_weights(
        &mut self,
        index: usize,
        options: &Options<'_>,
        mut y: Flow,
        bias: Option<Tensor>,
        norm: Option<[Tensor; 3]>,
    ) -> Imported<Flow> {
        if options.flag("batch_normalize")? {
            y = self.norm(index, &y, bias, norm)?;
        } else {
            self.store(&y, "bias", bias);
        }
        self.activated(index, options.text("activation").unwrap_or("logistic"), y)
    }

    fn batchnorm(&mut self, index: usize, x: &Flow) -> Imported<Flow> {
        let norm = self.norm_tensors(x.channels())?;
        let zeros = Tensor::from_f32(vec![x.channels()], vec![0.0; x.channels()]).filter(|_| norm.is_some());
        self.norm(index, x, zeros, norm)
    }

    /// A batch norm with these parameters.
    fn norm(&mut self, index: usize, x: &Flow, bias: Option<Tensor>, others: Option<[Tensor; 3]>) -> Imported<Flow> {
        let y = self.build.add(Op::BatchNorm(NORM), &format!("bn{index}"), &[x])?;
        self.store(&y, "bias", bias);
        for (tensor, role) in others.into_iter().flatten().zip(["weight", "running_mean", "running_var"]) {
            self.build.store(&y, role, tensor);
        }
        Ok(y)
    }

    /// The next tensor of the weights; `None` without weights.
    fn tensor(&mut self, sizes: &[usize]) -> Imported<Option<Tensor>> {
        Ok(self.weights.as_mut().map(|weights| weights.next(sizes)).transpose()?)
    }

    /// Scales, means and variances.
    fn norm_tensors(&mut self, channels: usize) -> Imported<Option<[Tensor; 3]>> {
        let mut next = || self.tensor(&[channels]);
        let tensors = [next()?, next()?, next()?];
        Ok(if let [Some(scale), Some(mean), Some(variance)] = tensors { Some([scale, mean, variance]) } else { None })
    }

    /// The weight of a connected layer, which some files have as inputs x outputs.
    fn matrix(&mut self, features: usize, inputs: usize) -> Imported<Option<Tensor>> {
        if !self.weights.as_ref().is_some_and(|weights| weights.transposed) {
            return self.tensor(&[features, inputs]);
        }
        let Some(stored) = self.tensor(&[inputs, features])? else { return Ok(None) };
        let values = stored.to_f32();
        let transposed: Vec<f32> = (0..features).flat_map(|row| values.iter().skip(row).step_by(features).copied()).collect();
        Ok(Tensor::from_f32(vec![features, inputs], transposed))
    }

    fn store(&mut self, layer: &Flow, role: &str, tensor: Option<Tensor>) {
        if let Some(tensor) = tensor {
            self.build.store(layer, role, tensor);
        }
    }

    /// A value after an activation of `activations.h`.
    fn activated(&mut self, index: usize, activation: &str, x: Flow) -> Imported<Flow> {
        let function = match activation {
            "linear" => return Ok(x),
            "leaky" => leaky_relu(0.1)?,
            "relie" => leaky_relu(0.01)?,
            "relu" => Elementwise::relu(),
            "logistic" => library("sigmoid", &[])?,
            "hardtan" => library("hardtanh", &[])?,
            "swish" => library("silu", &[])?,
            name @ ("elu" | "selu" | "tanh" | "mish") => library(name, &[])?,
            other => return Err(format!("its activation `{other}` is not supported").into()),
        };
        Ok(self.build.add(function, &format!("{activation}{index}"), &[&x])?)
    }

    /// The sum of a value and that of another layer. As in `shortcut_cpu` of `blas.c`, the latter is subsampled if it is larger,
    /// and channels that only one of them has are left alone.
    fn shortcut(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        if options.float("alpha", 1.0)? != 1.0 || options.float("beta", 1.0)? != 1.0 {
            return Err("its `alpha` or `beta` is not 1".into());
        }
        let mut operands = vec![x.clone()];
        for from in options.layers("from", index)? {
            let other = self.result(from)?;
            operands.push(self.fitted(index, &other, x)?);
        }
        let add = Elementwise::add(operands.len()).ok_or("it adds too many layers")?;
        let y = self.build.add(add, &format!("shortcut{index}"), &operands.iter().collect::<Vec<_>>())?;
        self.activated(index, options.text("activation").unwrap_or("linear"), y)
    }

    /// A value with the sizes of another.
    fn fitted(&mut self, index: usize, x: &Flow, like: &Flow) -> Imported<Flow> {
        let mut y = x.clone();
        let (Some(from), Some(to)) = (x.map(), like.map()) else {
            return if x.sizes == like.sizes { Ok(y) } else { Err(format!("it adds {} to {}", x.shown(), like.shown()).into()) };
        };
        if from != to {
            let stride: Pair = [0, 1].map(|axis| from[axis] / to[axis].max(1));
            let fits =
                stride[0] == stride[1] && stride[0] > 1 && (0..2).all(|axis| from[axis].div_ceil(stride[axis]) == to[axis]);
            if !fits {
                return Err(format!("it adds {} to {}", x.shown(), like.shown()).into());
            }
            y = self.build.add(Op::Subsample(stride), &format!("subsample{index}"), &[&y])?;
        }
        let (channels, wanted) = (y.channels(), like.channels());
        if channels > wanted {
            y = self.build.add(Op::Slice(0..wanted), &format!("slice{index}"), &[&y])?;
        } else if channels < wanted {
            y = self.build.add(Op::Pad(Pad::channels([0, wanted - channels])), &format!("pad{index}"), &[&y])?;
        }
        Ok(y)
    }

    /// The channels of several layers, or one of their groups.
    fn route(&mut self, index: usize, options: &Options<'_>) -> Imported<Flow> {
        let (groups, group) = (options.positive("groups", 1)?, options.size("group_id")?.unwrap_or(0));
        let mut parts = Vec::new();
        for from in options.layers("layers", index)? {
            let mut part = self.result(from)?;
            if groups > 1 {
                let channels = part.channels() / groups;
                if part.channels() % groups != 0 || group >= groups {
                    return Err(format!("it has no group {group} of {groups} in {} channels", part.channels()).into());
                }
                part = self.build.add(Op::Slice(group * channels..(group + 1) * channels), &format!("slice{index}"), &[&part])?;
            }
            parts.push(part);
        }
        match &parts[..] {
            [only] => Ok(only.clone()),
            _ => Ok(self.build.add(Op::Concat, &format!("route{index}"), &parts.iter().collect::<Vec<_>>())?),
        }
    }

    /// A pool whose padding is `size - 1` in total, half of it (rounded down) before the map.
    fn maxpool(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        let stride = options.positive("stride", 1)?;
        let size = options.positive("size", stride)?;
        let padding = options.size("padding")?.unwrap_or(size - 1);
        let map = x.map().ok_or_else(|| format!("it pools {}, which has no height and width", x.shown()))?;
        let before = padding / 2;
        // what no window reaches is no padding
        let after = |length: usize| {
            let windows = (length + padding).checked_sub(size)? / stride + 1;
            Some(((windows - 1) * stride + size).saturating_sub(before + length))
        };
        let too_large = || format!("its window is larger than {}", x.shown());
        let pad = [[before, after(map[0]).ok_or_else(too_large)?], [before, after(map[1]).ok_or_else(too_large)?]];
        let op = Op::Pool(Pool { kind: PoolKind::MAX, kernel: [size; 2], stride: [stride; 2], pad, ceil: false });
        Ok(self.build.add(op, &format!("maxpool{index}"), &[x])?)
    }

    fn softmax(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        if options.size("groups")?.unwrap_or(1) != 1 || options.text("tree").is_some() {
            return Err("it normalizes groups of features on their own".into());
        }
        if options.float("temperature", 1.0)? != 1.0 || options.float("spatial", 0.0)? != 0.0 {
            return Err("its `temperature` is not 1, or it is `spatial`".into());
        }
        let x = self.build.flat(x, &format!("softmax{index}"))?;
        Ok(self.build.add(Op::Softmax(None), &format!("softmax{index}"), &[&x])?)
    }

    fn upsample(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        let factor = options.positive("stride", 2)? as f64;
        let target = Target::Factor([factor; 2]);
        let y = self.build.add(Op::Upsample(Upsample::nearest(target)), &format!("upsample{index}"), &[x])?;
        match options.float("scale", 1.0)? {
            1.0 => Ok(y),
            scale => Ok(self.build.add(Elementwise::affine(scale, 0.0), &format!("scale{index}"), &[&y])?),
        }
    }

    /// Squares of pixels as channels, in the order of `reorg_cpu` of `blas.c`: it takes the map for a larger one with fewer channels.
    fn reorg(&mut self, index: usize, options: &Options<'_>, x: &Flow) -> Imported<Flow> {
        let side = options.positive("stride", 1)?;
        let area = side.checked_mul(side).ok_or("its stride is too large")?;
        let &[channels, height, width] = &x.sizes[..] else {
            return Err(format!("it reorders {}, which has no height and width", x.shown()).into());
        };
        if options.flag("reverse")? || options.flag("flatten")? || options.flag("extra")? {
            return Err("its `reverse`, `flatten` and `extra` are not supported".into());
        }
        if channels % area != 0 || height % side != 0 || width % side != 0 {
            return Err(format!("its stride {side} does not divide {}", x.shown()).into());
        }
        let reshape = |sizes: [usize; 3]| Op::Rearrange(Rearrange::Reshape(sizes.map(Some)));
        let name = format!("reorg{index}");
        let y = self.build.add(reshape([channels / area, height * side, width * side]), &name, &[x])?;
        let squares = Squares { side, order: SquareOrder::ByPixel };
        let y = self.build.add(Op::Rearrange(Rearrange::SpaceToDepth(squares)), &name, &[&y])?;
        Ok(self.build.add(reshape([channels * area, height / side, width / side]), &name, &[&y])?)
    }
}
