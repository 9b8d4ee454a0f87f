//! Records of operators on host memory, read back.

use std::fs;
use std::path::Path;
use std::ptr::null;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use super::forms_tests::list;
use super::tests::{floats, ints, op, run, scalar, tensor_of};
use super::*;
use crate::host::{CAPTURING, LAST_WARNING};
use crate::record::{self, RECORDER, Recorder};

/// Records in a folder of the test's own while `work` runs.
fn recorded(work: impl FnOnce()) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    record_to(folder.path(), work);
    folder
}

fn record_to(folder: &Path, work: impl FnOnce()) {
    let recorder: *mut Recorder = Box::into_raw(Box::new(Recorder::open(folder).unwrap()));
    // SAFETY: it lives until it is taken back below, when no one has it any more.
    RECORDER.set(Some(unsafe { &*recorder }));
    work();
    RECORDER.set(None);
    // SAFETY: made above.
    drop(unsafe { Box::from_raw(recorder) });
}

fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// What a file says: operator, arguments, and its tensors with shape and bytes.
type Read = (String, Value, Vec<(String, Vec<usize>, Vec<u8>)>);

fn read(path: &Path) -> Read {
    let bytes = fs::read(path).unwrap();
    let (_, about) = SafeTensors::read_metadata(&bytes).unwrap();
    let about = about.metadata().clone().unwrap();
    assert_eq!(about["status"], "0");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<_> =
        file.iter().map(|(name, t)| (name.to_owned(), t.shape().to_vec(), t.data().to_vec())).collect();
    tensors.sort();
    (about["operator"].clone(), serde_json::from_str(&about["arguments"]).unwrap(), tensors)
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

#[test]
fn a_record_has_arguments_inputs_and_outputs() {
    let (mut a, mut b, mut o) = ([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0], [10.0, 20.0], [0.0f32; 6]);
    let folder = recorded(|| {
        // The first input is a transposed view: its elements come in logical order.
        let x = tensor_of(&mut a, 0, &[3, 2], Some(&[1, 3]), 0);
        assert_eq!(op!(aclnnAdd, x, floats(&mut b, &[2]), scalar(0.5), floats(&mut o, &[3, 2])), 0);
    });
    assert_eq!(files(folder.path()), ["000001-aclnnAdd.safetensors"]);
    let (operator, arguments, tensors) = read(&folder.path().join("000001-aclnnAdd.safetensors"));
    assert_eq!(operator, "aclnnAdd");
    assert_eq!(arguments["alpha"], json!({ "scalar": "float32", "value": 0.5 }));
    assert_eq!(
        arguments["self"],
        json!({ "tensor": "float32", "shape": [3, 2], "strides": [1, 3], "format": 2, "role": "read" })
    );
    let expected = [
        ("in.other", vec![2], bytes(&[10.0, 20.0])),
        ("in.self", vec![3, 2], bytes(&[1.0, 4.0, 2.0, 5.0, 3.0, 6.0])),
        ("out.out", vec![3, 2], bytes(&[6.0, 14.0, 7.0, 15.0, 8.0, 16.0])),
    ];
    assert_eq!(tensors, expected.map(|(name, shape, bytes)| (name.to_owned(), shape, bytes)));
}

#[test]
fn what_is_written_in_place_is_there_twice() {
    let (mut a, mut b) = ([1.0, 2.0], [3.0, 4.0]);
    let folder = recorded(|| {
        assert_eq!(op!(aclnnInplaceMul, floats(&mut a, &[2]), floats(&mut b, &[2])), 0);
        // The same memory by another name, in a list.
        let (x, out) = (list(&[floats(&mut b, &[2])]), list(&[floats(&mut b, &[2])]));
        assert_eq!(op!(aclnnForeachNeg, x, out), 0);
    });
    assert_eq!(
        files(folder.path()),
        ["000001-aclnnInplaceMul.safetensors", "000002-aclnnForeachNeg.safetensors"]
    );
    let named = |file: &str, tensor: &str| {
        let (_, _, tensors) = read(&folder.path().join(file));
        tensors.into_iter().find(|(name, ..)| name == tensor).map(|(_, _, bytes)| bytes)
    };
    let first = "000001-aclnnInplaceMul.safetensors";
    assert_eq!(named(first, "in.selfRef"), Some(bytes(&[1.0, 2.0])));
    assert_eq!(named(first, "out.selfRef"), Some(bytes(&[3.0, 8.0])));
    assert_eq!(named(first, "out.other"), None);
    let second = "000002-aclnnForeachNeg.safetensors";
    assert_eq!(named(second, "in.x.0"), Some(bytes(&[3.0, 4.0])));
    assert_eq!(named(second, "out.out.0"), Some(bytes(&[-3.0, -4.0])));
}

#[test]
fn constant_outputs_and_found_shapes_are_outputs() {
    let mut exponent = [1.0, 2.0];
    let mut out = [0.0f32; 2];
    let mut x = [0.0f32, 5.0, 0.0, 7.0];
    let mut found = [0i64; 4];
    let folder = recorded(|| {
        let (e, o) = (floats(&mut exponent, &[2]), floats(&mut out, &[2]));
        assert_eq!(op!(aclnnPowScalarTensor, scalar(3.0), e, o), 0);
        let o = tensor_of(&mut found, 9, &[4, 1], None, 0);
        assert_eq!(op!(aclnnNonzero, floats(&mut x, &[4]), o), 0);
    });
    let (_, _, tensors) = read(&folder.path().join("000001-aclnnPowScalarTensor.safetensors"));
    assert!(tensors.contains(&("out.out".into(), vec![2], bytes(&[3.0, 9.0]))), "{tensors:?}");
    let (_, _, tensors) = read(&folder.path().join("000002-aclnnNonzero.safetensors"));
    let places: Vec<u8> = [1i64, 3].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert!(tensors.contains(&("out.out".into(), vec![2, 1], places)), "{tensors:?}");
}

#[test]
fn arguments_of_every_kind_have_a_value() {
    let (mut x, mut o) = ([1.0f32, 2.0, 3.0, 4.0], [0.0f32; 2]);
    let folder = recorded(|| {
        let dims = ints(&[-1]);
        assert_eq!(op!(aclnnReduceSum, floats(&mut x, &[2, 2]), dims, false, 0, floats(&mut o, &[2])), 0);
        let (x, o) = (floats(&mut x, &[2, 2]), floats(&mut o, &[2]));
        assert_eq!(op!(aclnnNorm, x, scalar(f32::INFINITY), dims, false, o), 0);
        let (mut y, mut z) = ([0.0f32; 4], [0.0f32; 4]);
        let (x, o) = (floats(&mut y, &[4]), floats(&mut z, &[4]));
        assert_eq!(op!(aclnnClamp, x, null(), scalar(1.0), o), 0);
    });
    let (_, sum, _) = read(&folder.path().join("000001-aclnnReduceSum.safetensors"));
    assert_eq!(
        (&sum["dims"], &sum["keepDims"], &sum["dtype"]),
        (&json!([-1]), &json!(false), &json!("float32"))
    );
    let (_, norm, _) = read(&folder.path().join("000002-aclnnNorm.safetensors"));
    assert_eq!(norm["pScalar"], json!({ "scalar": "float32", "value": "inf" }));
    let (_, clamp, _) = read(&folder.path().join("000003-aclnnClamp.safetensors"));
    assert_eq!(clamp["clipValueMin"], Value::Null);
}

#[test]
fn numbers_go_on_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let (mut a, mut b) = ([1.0, 2.0], [3.0, 4.0]);
    let mut once = || {
        record_to(folder.path(), || {
            assert_eq!(op!(aclnnInplaceMul, floats(&mut a, &[2]), floats(&mut b, &[2])), 0);
        });
    };
    once();
    once();
    assert_eq!(
        files(folder.path()),
        ["000001-aclnnInplaceMul.safetensors", "000002-aclnnInplaceMul.safetensors"]
    );
}

#[test]
fn what_cannot_be_recorded_runs_and_is_said_once() {
    let (mut a, mut b) = ([1.0, 2.0], [3.0, 4.0]);
    let folder = recorded(|| {
        let (x, y) = (floats(&mut a, &[2]), floats(&mut b, &[2]));
        CAPTURING.set(true);
        assert_eq!(op!(aclnnInplaceMul, x, y), 0);
        assert!(LAST_WARNING.take().contains("captures"));
        assert_eq!(op!(aclnnInplaceMul, x, y), 0);
        assert_eq!(LAST_WARNING.take(), "");
        CAPTURING.set(false);
    });
    assert_eq!((a, files(folder.path())), ([9.0, 32.0], Vec::new()));
    let gone = tempfile::tempdir().unwrap();
    let place = gone.path().join("records");
    record_to(&place, || {
        fs::remove_dir(&place).unwrap();
        assert_eq!(op!(aclnnInplaceMul, floats(&mut a, &[2]), floats(&mut b, &[2])), 0);
        let said = LAST_WARNING.take();
        assert!(said.contains("records: No such file"), "{said}");
    });
    assert_eq!(a, [27.0, 128.0]);
    fs::write(&place, "").unwrap();
    assert!(Recorder::open(&place).is_err());
}

#[test]
fn without_a_folder_nothing_is_kept() {
    assert!(!record::is_on());
    let (mut a, mut b) = ([1.0, 2.0], [3.0, 4.0]);
    assert_eq!(op!(aclnnInplaceMul, floats(&mut a, &[2]), floats(&mut b, &[2])), 0);
    assert_eq!(a, [3.0, 8.0]);
}
