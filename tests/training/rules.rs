//! PyTorch's rules of training, held by the numbers that it gives for a small network.
//!
//! ```python
//! torch.set_default_dtype(torch.float64)
//! def wave(n, step, scale): return torch.tensor([scale * math.sin(step * i + 1) for i in range(n)], dtype=torch.float32).double()
//! conv, bn, fc = torch.nn.Conv2d(2, 4, 3, padding=1, bias=False), torch.nn.BatchNorm2d(4), torch.nn.Linear(4, 3)
//! conv.weight, fc.weight, fc.bias = wave(72, 0.7, 0.4).view(4, 2, 3, 3), wave(12, 0.9, 0.5).view(3, 4), wave(3, 1.1, 0.1)
//! bn.weight, bn.bias = 1 + wave(4, 1.3, 0.2), wave(4, 1.7, 0.3)
//! x, t = wave(96, 0.37, 1.5).view(3, 2, 4, 4), torch.tensor([0, 2, 1])
//! o = torch.optim.SGD(all, lr=0.2, momentum=0.9, weight_decay=0.01, nesterov=nesterov)
//! for s in range(3):
//!     loss = F.cross_entropy(fc(torch.relu(bn(conv(x))).mean((2, 3))), t, label_smoothing=0.1)
//!     o.zero_grad(); loss.backward(); o.step()
//! ```

use crate::common::Build;
use ndarray::{Array4, ArrayView4};
use resnetc::internal::base::tensor::Tensor;
use resnetc::internal::grad::GradOptions;
use resnetc::internal::ir::{Checked, Op, Sgd, Shape};
use resnetc::internal::runtime::ParamStore;
use resnetc::internal::runtime::SessionOptions;
use resnetc::internal::train::{Batch, Engine, EngineOptions, GraphEngine, Optimizer};

fn wave(n: usize, step: f64, scale: f64) -> Vec<f32> {
    (0..n).map(|i| (scale * (step * i as f64 + 1.0).sin()) as f32).collect()
}

fn network() -> (Checked, ParamStore) {
    let mut b = Build::new(1);
    let x = b.input("x", Shape::fixed(&[2, 4, 4]));
    let x = b.conv(x, 4, 3, 1, 1);
    let x = b.norm(x);
    let x = b.relu(x);
    let x = b.push(Op::AdaptiveAvgPool([1, 1]), &[x]);
    let x = b.push(Op::Flatten, &[x]);
    let y = b.linear(x, 3);
    let (checked, params) = b.finish(&[("output", y)]);
    let values = |name: &str| match name {
        "conv1.weight" => wave(72, 0.7, 0.4),
        "norm2.weight" => wave(4, 1.3, 0.2).iter().map(|v| 1.0 + v).collect(),
        "norm2.bias" => wave(4, 1.7, 0.3),
        "norm2.running_mean" => vec![0.0; 4],
        "norm2.running_var" => vec![1.0; 4],
        "linear6.weight" => wave(12, 0.9, 0.5),
        "linear6.bias" => wave(3, 1.1, 0.1),
        other => panic!("{other}"),
    };
    let set = |(name, t): (&str, &Tensor)| (name.to_owned(), Tensor::from_f32(t.shape().to_vec(), values(name)).unwrap());
    let params = params.iter().map(set).collect();
    (checked, params)
}

fn near(what: &str, found: &[f32], expected: &[f64]) {
    for (i, (&f, &e)) in found.iter().zip(expected).enumerate() {
        assert!((f64::from(f) - e).abs() < 3e-6 * (0.1 + e.abs()), "{what}[{i}]: {f} for {e}");
    }
}

/// Three steps: the losses, and the engine after them.
fn steps(sgd: Sgd, images: ArrayView4<'_, f32>) -> (Vec<f64>, GraphEngine) {
    let (checked, params) = network();
    let session = SessionOptions { threads: 2, isa: None };
    let what = GradOptions { smoothing: 0.1, ..GradOptions::default() };
    let mut engine = GraphEngine::new(&checked, &params, &what, EngineOptions { session, seed: 0, precise: false }).unwrap();
    let mut optimizer = Optimizer::new(sgd, 2, engine.parameters()).unwrap();
    let mut losses = Vec::new();
    for step in 0..3 {
        engine.clear();
        losses.push(engine.gradients(&Batch { images, labels: &[0, 2, 1] }, 1.0, step).unwrap().loss());
        optimizer.step(engine.parameters(), sgd.lr);
        if step == 0 {
            near(
                "mean",
                &engine.running_stats()[0].values,
                &[0.05306070779071951, 0.051909063517705446, 0.05069871760363908, 0.049431041795304706],
            );
            near(
                "var",
                &engine.running_stats()[1].values,
                &[1.4763827872463207, 1.4674352679708145, 1.458465931353281, 1.4495154023767753],
            );
        }
    }
    (losses, engine)
}

fn images() -> Array4<f32> {
    Array4::from_shape_vec((3, 2, 4, 4), wave(96, 0.37, 1.5)).unwrap()
}

#[test]
fn momentum_decay_and_smoothing() {
    let sgd = Sgd { lr: 0.2, momentum: 0.9, weight_decay: 0.01, ..Sgd::default() };
    let (losses, mut engine) = steps(sgd, images().view());
    for (found, expected) in losses.iter().zip([1.147943269305652, 1.131037605943695, 1.1084126340055969]) {
        assert!((found - expected).abs() < 2e-6, "{losses:?}");
    }
    let [conv, weight, bias, linear, offset] = engine.parameters() else { panic!("five") };
    near("conv", &conv.values, &[0.3324317173133015, 0.38675603156509586, 0.26148169553321937, 0.017255446624187452]);
    near("batchnorm", &weight.values, &[1.1176270951752802, 1.0954378963335492, 0.8946832490471684, 0.8279007186859001]);
    near("its bias", &bias.values, &[0.16517599096614874, 0.061267722029292496, -0.2900912256877339, -0.020683151228842733]);
    near("linear", &linear.values, &[0.3304884659525938, 0.39279253877019593, 0.13370005386942982, -0.3045472162665376]);
    near("offset", &offset.values, &[-0.0629058652605736, 0.21306344646642272, 0.012629040797998307]);
}

#[test]
fn nesterovs_way() {
    let sgd = Sgd { lr: 0.2, momentum: 0.9, weight_decay: 0.01, nesterov: true, ..Sgd::default() };
    let (losses, mut engine) = steps(sgd, images().view());
    for (found, expected) in losses.iter().zip([1.147943269305652, 1.1183454934507937, 1.096612359690727]) {
        assert!((found - expected).abs() < 2e-6, "{losses:?}");
    }
    let [conv, weight, bias, linear, offset] = engine.parameters() else { panic!("five") };
    near("conv", &conv.values, &[0.3316543945930348, 0.3857623713009621, 0.25757117343643166, 0.022880161085111865]);
    near("batchnorm", &weight.values, &[1.1037952314419988, 1.0817236146460938, 0.8895665539903482, 0.8330871400191441]);
    near("its bias", &bias.values, &[0.1482151391860723, 0.044140396797156735, -0.2900759989433972, -0.0049155589111068605]);
    near("linear", &linear.values, &[0.31010253667516224, 0.3745205107165956, 0.12676476331349074, -0.31327326564785085]);
    near("offset", &offset.values, &[-0.09905692494467822, 0.24517919513016528, 0.01586727377012454]);
}
