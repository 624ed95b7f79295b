use super::*;

fn gradient(program: &Program, slot: usize) -> (String, Vec<Read>) {
    let gradient = program.gradient(slot).unwrap();
    let names: Vec<&str> = gradient
        .reads
        .iter()
        .map(|read| match read {
            Read::ResultGradient => "dy",
            Read::Result => "y",
            Read::Operand(slot) => ["a", "b", "c"][*slot],
        })
        .collect();
    (gradient.program.text(&names, 100).unwrap(), gradient.reads)
}

/// `x * relu6(x + 3) / 6`, as a user would write it.
fn hardswish() -> Program {
    Builder::build(1, |b| {
        let (x, three, six, zero) = (b.operand(0), b.constant(3.0), b.constant(6.0), b.constant(0.0));
        let sum = b.binary(Binary::Add, x, three);
        let upper = b.select(Comparison::GreaterEqual, sum, six, six, sum);
        let relu6 = b.select(Comparison::LessEqual, sum, zero, zero, upper);
        let product = b.binary(Binary::Mul, x, relu6);
        b.binary(Binary::Div, product, six)
    })
}

#[test]
fn known_programs_are_recognized() {
    assert!(Program::relu().is_relu());
    assert!(!Program::sigmoid().is_relu());
    assert_eq!(Program::clamp(0.0, 6.0).as_clamp(), Some([0.0, 6.0]));
    assert!(Program::clamp(f32::NEG_INFINITY, f32::INFINITY).is_identity());
    assert_eq!(Program::sum(MAX_OPERANDS).operands(), MAX_OPERANDS);
    assert_eq!(Program::sum(3).evaluate(&[1.0, 2.0, 4.0]), 7.0);
}

#[test]
fn expressions_read_as_written() {
    assert_eq!(Program::relu().text(&["x"], 9).unwrap(), "if x <= 0 then 0 else x");
    let text = hardswish().text(&["x"], 9).unwrap();
    assert_eq!(text, "x * (if x + 3 <= 0 then 0 else if x + 3 >= 6 then 6 else x + 3) / 6");
    assert_eq!(hardswish().text(&["x"], 6), None);
}

#[test]
fn values_follow_ieee_754() {
    let relu = Program::relu();
    assert_eq!(relu.evaluate(&[-1.0]), 0.0);
    assert!(relu.evaluate(&[f64::NAN]).is_nan());
    assert!(Binary::Max.of(f64::NAN, 1.0).is_nan());
    assert!(Program::clamp(0.0, 1.0).evaluate(&[f64::NAN]).is_nan());
    assert!((Unary::Softplus.of(-50.0) - (-50f64).exp()).abs() < 1e-30);
    assert_eq!(Unary::Softplus.of(1000.0), 1000.0);
}

#[test]
fn gradients_read_the_result_where_they_can() {
    let (text, reads) = gradient(&Program::relu(), 0);
    assert_eq!((text.as_str(), &reads[..]), ("if y <= 0 then 0 else dy", &[Read::ResultGradient, Read::Result][..]));
    assert_eq!(gradient(&Program::sigmoid(), 0).0, "dy * (1 - y) * y");
    assert_eq!(gradient(&Program::sum(3), 1), ("dy".to_owned(), vec![Read::ResultGradient]));
    assert_eq!(gradient(&Program::product(), 0).0, "dy * b");
    assert_eq!(gradient(&Program::clamp(0.0, 6.0), 0).0, "if a > 0 then (if a < 6 then dy else 0) else 0");
}

#[test]
fn a_gradient_agrees_with_finite_differences() {
    let swish = hardswish();
    let gradient = swish.gradient(0).unwrap();
    for x in [-4.0, -2.5, -0.3, 0.0, 1.7, 2.9, 5.0] {
        let h = 1e-6;
        let numeric = (swish.evaluate(&[x + h]) - swish.evaluate(&[x - h])) / (2.0 * h);
        let values: Vec<f64> = gradient
            .reads
            .iter()
            .map(|read| match read {
                Read::ResultGradient => 1.0,
                Read::Result => swish.evaluate(&[x]),
                Read::Operand(_) => x,
            })
            .collect();
        assert!((gradient.program.evaluate(&values) - numeric).abs() < 1e-6, "at {x}");
    }
}

#[test]
fn a_gradient_sums_all_reads_of_an_operand() {
    // as a file may say it: a builder reads each operand once
    let square = vec![
        Instruction::Operand(0),
        Instruction::Unary(Unary::Square, 0),
        Instruction::Operand(0),
        Instruction::Binary(Binary::Sub, 1, 2),
    ];
    assert_eq!(gradient(&Program::new(1, square).unwrap(), 0).0, "-dy + dy * (a * 2)");
}

#[test]
fn composition_shares_what_is_equal() {
    let mut program = hardswish();
    for _ in 0..4 {
        program = program.compose(0, &hardswish()).unwrap();
    }
    // a tree would have 2^4 times as many
    assert!(program.instructions().len() <= 5 * 8, "{}", program.instructions().len());
    assert_eq!(Program::product().compose(1, &Program::relu()).unwrap().evaluate(&[3.0, 2.0]), 6.0);
}

#[test]
fn invalid_programs_are_refused() {
    assert_eq!(Program::new(1, vec![]), Err(ProgramError::Empty));
    assert_eq!(Program::new(1, vec![Instruction::Operand(1)]), Err(ProgramError::Order { at: 0 }));
    assert_eq!(Program::new(1, vec![Instruction::Unary(Unary::Exp, 0)]), Err(ProgramError::Order { at: 0 }));
    assert_eq!(Program::new(1, vec![Instruction::Constant(f32::NAN)]), Err(ProgramError::Constant { at: 0 }));
    let long = vec![Instruction::Constant(0.0); MAX_INSTRUCTIONS + 1];
    assert_eq!(Program::new(1, long), Err(ProgramError::TooLong));
    let text = serde_json::to_string(&Program::clamp(f32::NEG_INFINITY, 6.0)).unwrap();
    assert_eq!(serde_json::from_str::<Program>(&text).unwrap(), Program::clamp(f32::NEG_INFINITY, 6.0));
    assert!(serde_json::from_str::<Program>(&text.replace("\"x\":0", "\"x\":7")).is_err(), "{text}");
}

#[test]
fn a_program_that_grows_too_long_is_an_error() {
    let mut builder = Builder::new(1);
    let mut last = builder.operand(0);
    for i in 0..300 {
        let constant = builder.constant(i as f32);
        last = builder.binary(Binary::Mul, last, constant);
    }
    assert_eq!(builder.finish(last), Err(ProgramError::TooLong));
}
