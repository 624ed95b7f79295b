//! Statements of Python.

use super::{Join, advice, join, statements, whole};

/// The statements, and whether they certainly do the same.
fn translated(python: &str) -> Option<(String, bool)> {
    statements(python).map(|found| {
        assert_eq!(found.length, python.len(), "{python}");
        (found.own, found.is_certain)
    })
}

#[test]
fn layers_are_translated_with_the_defaults_that_differ() {
    for (python, own) in [
        ("nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)", "conv 7x7, filters: 64, stride: 2, padding: 3, bias: false"),
        ("nn.Conv2d(3, 64, kernel_size=(3, 5))", "conv 3x5, filters: 64, padding: 0, bias: true"),
        ("self.conv1 = nn.Conv2d(3, 64, 3)", "conv 3x3, filters: 64, padding: 0, bias: true as conv1"),
        ("nn.Conv2d(24, 24, 3, padding=1, groups=24)", "depthwise 3x3, padding: 1, bias: true"),
        ("nn.Conv2d(24, 48, 3, padding=1, groups=24)", "conv 3x3, filters: 48, padding: 1, groups: 24, bias: true"),
        ("model.add(Conv2D(32, (3, 3), activation='relu'))", "conv 3x3, filters: 32, padding: 0, bias: true; relu"),
        ("x = Conv2D(32, 3, padding='same')(x)", "conv 3x3, filters: 32, bias: true"),
        ("Conv2D(32, [3, 5], strides=(1, 1), padding=\"same\")", "conv 3x5, filters: 32, stride: 1x1, bias: true"),
        ("nn.Conv2d (3, 64, 3)", "conv 3x3, filters: 64, padding: 0, bias: true"),
        ("nn.ConvTranspose2d(24, 12, 2, stride=2)", "conv_transpose 2x2, filters: 12, stride: 2, bias: true"),
        ("self.input = nn.Linear(512, 10)", "linear 10"),
        ("nn.BatchNorm2d(64), nn.ReLU(inplace=True),", "batchnorm; relu"),
        ("nn.BatchNorm2d(64, eps=0.001)", "batchnorm eps: 0.001"),
        ("nn.Conv2d(c, c, 3, padding=1, groups=c)", "depthwise 3x3, padding: 1, bias: true"),
        ("nn.GroupNorm(32, c)", "groupnorm groups: 32"),
        ("nn.LayerNorm(96, eps=1e-6)", "layernorm eps: 1e-6"),
        ("nn.LayerNorm([24, 32, 32])", "layernorm over: all"),
        ("nn.InstanceNorm2d(64, affine=True)", "instancenorm affine: true"),
        ("x = F.max_pool2d(F.relu(x), 2)", "relu; maxpool 2x2, padding: 0"),
        ("nn.AdaptiveAvgPool2d((1, 1))", "avgpool global"),
        ("nn.AdaptiveMaxPool2d(1)", "maxpool global"),
        ("x = torch.mean(x, dim=1, keepdim=True)", "mean over: channels"),
        ("x = torch.max(x, 1, keepdim=True)[0]", "max over: channels"),
        ("x = x.amax((2, 3), keepdim=True)", "maxpool global"),
        ("x = x.mean([2, 3])", "avgpool global; flatten"),
        ("x = torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)", "avgpool global; flatten"),
        ("x = x.view(x.size(0), -1)", "flatten"),
        ("nn.Upsample(scale_factor=2)", "upsample nearest, scale_factor: 2"),
        ("nn.Upsample(scale_factor=2, mode='nearest-exact')", "upsample nearest_exact, scale_factor: 2"),
        (
            "nn.Upsample(scale_factor=2, mode=\"bilinear\", align_corners=True)",
            "upsample bilinear, scale_factor: 2, align_corners: true",
        ),
        ("nn.UpsamplingBilinear2d(scale_factor=2)", "upsample bilinear, scale_factor: 2, align_corners: true"),
        ("x = F.interpolate(x, (7, 9), mode='bilinear', align_corners=False)", "upsample bilinear, size: 7x9"),
        ("nn.ReflectionPad2d(3)", "pad 3, mode: reflect"),
        ("nn.ZeroPad2d((1, 2, 3, 4))", "pad [3, 4, 1, 2]"),
        ("x = F.pad(x, (0, 0, 0, 0, 8, 8))", "pad channels: [8, 8]"),
        ("nn.ChannelShuffle(2), nn.PixelShuffle(2)", "shuffle groups: 2; pixel_shuffle 2"),
        ("self.fc = nn.Linear(512, 10)", "linear 10 as fc"),
        ("nn.GELU()", "gelu"),
        ("nn.GELU(approximate='tanh')", "gelu_tanh"),
        ("nn.SiLU(inplace=True), nn.Hardswish()", "silu; hardswish"),
        ("x = F.leaky_relu(x, 0.2, inplace=True)", "leaky_relu negative_slope: 0.2"),
        ("LeakyReLU(alpha=0.1)", "leaky_relu negative_slope: 0.1"),
        ("nn.Hardtanh(-2.0, 2.0)", "hardtanh min_val: -2.0, max_val: 2.0"),
        ("nn.PReLU(), nn.PReLU(64)", "prelu_shared; prelu"),
        ("Dense(10, activation='swish')", "linear 10; silu"),
        ("Dense(units=10, activation='softmax')", "linear 10; softmax"),
        ("Dense(10, 'relu')", "linear 10; relu"),
    ] {
        assert_eq!(translated(python), Some((own.to_owned(), true)), "{python}");
    }
    let joined = "nn.ReLU(), nn.Flatten(),  linear 10";
    let found = statements(joined).unwrap();
    assert_eq!((&*found.own, found.length), ("relu; flatten; ", "nn.ReLU(), nn.Flatten(),  ".len()));
}

#[test]
fn names_and_other_values_are_translated_without_certainty() {
    for (python, own) in [
        ("nn.Conv2d(3, width, 3)", "conv 3x3, filters: width, padding: 0, bias: true"),
        (
            "nn.Conv2d(c, int(c * 0.5), kernel_size=1, stride=stride, bias=False)",
            "conv 1x1, filters: floor(c * 0.5), stride, padding: 0, bias: false",
        ),
        ("nn.GroupNorm(groups, c)", "groupnorm groups"),
        ("y = F.relu(x)", "relu"),
        ("torch.mean(x, dim=1, keepdim=True)", "mean over: channels"),
        ("x.mean([2, 3])", "avgpool global; flatten"),
        ("a = layers.Dense(10)(x)", "linear 10"),
        ("x = F.interpolate(x, size=skip.shape[-2:], mode='bilinear')", "upsample bilinear, like: skip"),
    ] {
        assert_eq!(translated(python), Some((own.to_owned(), false)), "{python}");
    }
}

#[test]
fn what_has_no_counterpart_is_not_translated() {
    for python in [
        "nn.Conv2d(3, 64, 3, padding_mode='reflect')",
        "Conv2D(32, 3, strides=2, padding='same')",
        "Conv2D(32, 2, padding='same')",
        "nn.Conv2d(3, 64, x.size(2))",
        "nn.Conv2d(3, 64, \"3\")",
        "nn.Conv2d(3, 64, 3, bias=0)",
        "nn.Conv2d(3, 64, 3, bias=None)",
        "nn.BatchNorm2d(64, momentum=None)",
        "x = F.interpolate(x, scale_factor=2, mode='bilinear', antialias=True)",
        "nn.LayerNorm([32, 32])",
        "nn.AdaptiveMaxPool2d(7)",
        "x = x.mean(1)",
        "x = x.max(1, keepdim=True)",
        "a, b = nn.ReLU()",
        "self.features[0] = nn.ReLU()",
        "x: Tensor = nn.ReLU()",
        "LeakyReLU()",
        "nn.PReLU(8, init=0.1)",
        "nn.GELU(approximate=mode)",
        "nn.RReLU()",
        "x = self.conv1(x)",
        "Dense(10, activation='leaky_relu')",
        "nn.Softmax(dim=0)",
        "nn.Conv2d(3, 64, 3",
        "nn.Conv2d()",
        "relu() + 1",
        "conv(3)",
        "relu",
        "",
    ] {
        assert_eq!(translated(python), None, "{python}");
    }
}

#[test]
fn joins_are_named() {
    let joined = |text| join(&whole(text).unwrap(), Some("x"));
    for (python, own) in [
        ("x * torch.sigmoid(x)", "apply x * sigmoid(x)"),
        ("x * x.sigmoid()", "apply x * sigmoid(x)"),
        ("x * F.relu6(x + 3.0) / 6", "apply x * relu6(x + 3.0) / 6"),
        ("1 - (x - 2)", "apply 1 - (x - 2)"),
    ] {
        assert_eq!(joined(python), Some(Join::Apply(own.to_owned())), "{python}");
    }
    for (python, own) in [
        ("x + a", "`add a`"),
        ("a + x", "`add a`"),
        ("x + identity", "`add shortcut`"),
        ("x + self.conv(x)", "`add { … }`"),
        ("x * gate", "`mul gate`"),
        ("x * self.se(x)", "`mul { … }`"),
        ("torch.cat([x, a, b], dim=1)", "`concat a, b`"),
        ("torch.cat((x, a), 1)", "`concat a`"),
        ("torch.cat([a, x], 1)", "write after `a`: `concat { … }`"),
        ("torch.cat([x, a], 2)", "joins the channels"),
        ("torch.add(x, a)", "`add a`"),
    ] {
        let Some(Join::Help(help)) = joined(python) else { panic!("{python}") };
        assert!(help.contains(own), "{python}: {help}");
    }
}

#[test]
fn calls_of_modules_are_explained() {
    for (python, own) in [
        ("self.act(x)", "`act` is a layer of the class"),
        ("F.relu(self.bn1(self.conv1(x)))", "`conv … as conv1`, `batchnorm as bn1`, `relu`"),
        ("SqueezeExcitation(24, 6)", "`squeeze filters: 24, ratio: 4`"),
        ("BasicBlock(64, 64)", "`use std.blocks: basic`"),
        ("InvertedResidual(16, 24, 2)", "`block inverted_residual(filters) { … }`"),
        ("x.chunk(2, 1)", "`parallel concat split"),
        ("x.permute(0, 2, 3, 1)", "leave it out"),
    ] {
        let help = advice(&whole(python).unwrap()).unwrap_or_else(|| panic!("{python}"));
        assert!(help.contains(own), "{python}: {help}");
    }
}
