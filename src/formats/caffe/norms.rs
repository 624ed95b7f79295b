//! Batch norms, and scales and shifts for each channel: Caffe has a layer for each.

use super::super::layer_list::Flow;
use super::super::response::LocalResponse;
use super::importer::{Blob, Imported, Importer};
use super::net::Layer;
use crate::base::decimal::decimal;
use crate::base::tensor::Tensor;
use crate::elementwise::Unary;
use crate::ir::{BatchNorm, Broadcast, Elementwise, Op, Rearrange};

impl Importer<'_> {
    /// A batch norm without scale and shift, which a `Scale` after it may add.
    pub(super) fn batch_norm(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("batch_norm_param");
        if !param.flag("use_global_stats", true)? {
            return Err("its `use_global_stats` is `false`: it normalizes with the statistics of the batch".to_owned());
        }
        let eps = decimal(param.float("eps", 1e-5)?);
        let momentum = ((1.0 - decimal(param.float("moving_average_fraction", 0.999)?)) * 1e6).round() / 1e6;
        let y = self.build.add(Op::BatchNorm(BatchNorm { eps, momentum }), layer.name, &[&x])?;
        let channels = [x.channels()];
        if let Some(tensors) = self.tensors(layer, &[&channels, &channels, &[1]])? {
            // sums over the steps of training, and the weight of all steps together
            let total = tensors.get(2).and_then(|factor| factor.to_f32().first().copied()).unwrap_or(0.0);
            let factor = if total == 0.0 { 0.0 } else { 1.0 / total };
            for (sum, role) in tensors.iter().zip(["running_mean", "running_var"]) {
                let mean: Vec<f32> = sum.to_f32().iter().map(|&value| value * factor).collect();
                let mean = Tensor::from_f32(channels.to_vec(), mean).ok_or("its statistics are too large")?;
                self.build.store(&y, role, mean);
            }
            self.build.fill(&y, "weight", 1.0);
            self.build.fill(&y, "bias", 0.0);
        }
        self.plain_norms.insert(self.build.node(&y));
        Ok(y)
    }

    /// Batch norms that a layer reads get no scale and shift from one after it: the layer may pass on their values as they are.
    pub(super) fn norms_are_read(&mut self, layer: &Layer<'_>) {
        for name in &layer.bottoms {
            if let Some(Blob::Value(x, _)) = self.blobs.get(*name) {
                self.plain_norms.remove(&self.build.node(x));
            }
        }
    }

    /// A factor for each channel, and with `bias_term` a summand: those of the batch norm before it if nothing else reads that.
    pub(super) fn scale(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        if layer.bottoms.len() == 2 {
            return self.gate(layer);
        }
        let bias = layer.param("scale_param").flag("bias_term", false)?;
        self.per_channel(layer, "scale_param", if bias { &["weight", "bias"] } else { &["weight"] })
    }

    /// A summand for each channel.
    pub(super) fn bias(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        self.per_channel(layer, "bias_param", &["bias"])
    }

    fn per_channel(&mut self, layer: &Layer<'_>, param: &str, roles: &[&str]) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param(param);
        if (param.int("axis", 1)?, param.int("num_axes", 1)?) != (1, 1) {
            return Err("it has a number for more or less than each channel".to_owned());
        }
        let channels = [x.channels()];
        let tensors = self.tensors(layer, &vec![&channels[..]; roles.len()])?;
        let is_last_read = matches!(self.blob(layer, 0)?, Blob::Value(_, true));
        let y = if is_last_read && self.plain_norms.remove(&self.build.node(&x)) {
            x
        } else {
            let y = self.build.add(Op::BatchNorm(BatchNorm::DEFAULT), layer.name, &[&x])?;
            if tensors.is_some() {
                for (role, value) in
                    [("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", BatchNorm::UNIT_VARIANCE)]
                {
                    self.build.fill(&y, role, value);
                }
            }
            y
        };
        for (tensor, role) in tensors.into_iter().flatten().zip(roles) {
            self.build.store(&y, role, tensor);
        }
        Ok(y)
    }

    /// Divides each value by a power of those around it.
    pub(super) fn local_response(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let x = self.only(layer)?;
        let param = layer.param("lrn_param");
        let size = param.int("local_size", 5)?;
        let size = usize::try_from(size).ok().filter(|size| size % 2 == 1);
        let size = size.ok_or("its `local_size` is not an odd number")?;
        let over_channels = match param.word("norm_region").unwrap_or("ACROSS_CHANNELS") {
            "ACROSS_CHANNELS" | "0" => true,
            "WITHIN_CHANNEL" | "1" => false,
            other => return Err(format!("its `norm_region` is `{other}`, but must be `ACROSS_CHANNELS` or `WITHIN_CHANNEL`")),
        };
        if x.map().is_none() {
            return Err(format!("it normalizes {}, which has no height and width", x.shown()));
        }
        // Caffe ignores `k` within channels
        let k = if over_channels { param.float("k", 1.0)? } else { 1.0 };
        let lrn = LocalResponse { size, alpha: param.float("alpha", 1.0)?, beta: param.float("beta", 0.75)?, k };
        let name = |part: &str| format!("{}_{part}", layer.name);
        let mut mean = self.build.compute("square", &name("square"), &[&x], |b, x| b.unary(Unary::Square, x[0]))?;
        if over_channels {
            mean = self.build.add(LocalResponse::TURN, &name("turn"), &[&mean])?;
            mean = self.build.add(lrn.of_channels(), &name("mean"), &[&mean])?;
            mean = self.build.add(LocalResponse::TURN, &name("back"), &[&mean])?;
        } else {
            mean = self.build.add(lrn.of_places(), &name("mean"), &[&mean])?;
        }
        let factor = self.build.compute("factor", &name("factor"), &[&mean], |b, x| lrn.factor(b, x[0]))?;
        self.build.add(Elementwise::mul(Broadcast::Full), layer.name, &[&x, &factor])
    }

    /// A value times another with one number for each channel.
    fn gate(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let (x, gate) = (self.flow(layer, 0)?, self.flow(layer, 1)?);
        if layer.param("scale_param").flag("bias_term", false)? {
            return Err("it has a bias beside a factor that is a value of the network".to_owned());
        }
        self.gated(layer.name, &x, &gate)
    }

    /// The channels of a value times the numbers of another.
    fn gated(&mut self, name: &str, x: &Flow, gate: &Flow) -> Imported<Flow> {
        if gate.sizes == x.sizes {
            return self.build.add(Elementwise::mul(Broadcast::Full), name, &[x, gate]);
        }
        if gate.values() != x.channels() || gate.channels() != x.channels() {
            return Err(format!("it multiplies {} by {}, which is not one number for each channel", x.shown(), gate.shown()));
        }
        let gate = match gate.map() {
            Some(_) => gate.clone(),
            None => {
                let sizes = [Some(gate.channels()), Some(1), Some(1)];
                self.build.add(Op::Rearrange(Rearrange::Reshape(sizes)), &format!("{name}_reshape"), &[gate])?
            }
        };
        self.build.add(Elementwise::mul(Broadcast::Channel), name, &[x, &gate])
    }

    /// `a x + y`, with a number of `a` for each channel: the layer of the squeeze-and-excitation networks' release.
    pub(super) fn axpy(&mut self, layer: &Layer<'_>) -> Imported<Flow> {
        let [gate, x, y] = [0, 1, 2].map(|slot| self.flow(layer, slot));
        let (gate, x, y) = (gate?, x?, y?);
        let product = self.gated(&format!("{}_mul", layer.name), &x, &gate)?;
        self.build.add(Op::add(), layer.name, &[&product, &y])
    }
}
