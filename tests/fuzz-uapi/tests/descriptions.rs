//! The descriptions for syzkaller are the header's: every request of it, every argument, field by field in order.

use std::collections::BTreeMap;
use std::path::Path;

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path)
}

/// Request to the structure that is its argument.
fn requests(header: &str) -> BTreeMap<String, String> {
    let header = header.replace("\\\n", " ");
    let lines = header.lines().filter(|line| line.starts_with("#define DRM_IOCTL_VINCI_"));
    lines
        .map(|line| {
            let name = line.split_whitespace().nth(1).expect("a name");
            let (_, argument) = line.rsplit_once("struct ").expect("an argument");
            (name.to_owned(), argument.trim_end_matches(')').to_owned())
        })
        .collect()
}

/// Fields of a structure of the header, in order.
fn fields(header: &str, name: &str) -> Vec<String> {
    let start =
        header.find(&format!("\nstruct {name} {{")).unwrap_or_else(|| panic!("{name} is not in the header"));
    let body = header[start + 1..].split("\n};").next().expect("an end");
    let lines =
        body.lines().skip(1).map(str::trim).filter(|line| line.ends_with(';') && !line.starts_with('*'));
    let field = |line: &str| {
        let last = line.trim_end_matches(';').rsplit([' ', '\t']).next().expect("a field");
        last.split('[').next().expect("a name").to_owned()
    };
    lines.map(field).collect()
}

/// The same of a structure of the descriptions.
fn described(text: &str, name: &str) -> Vec<String> {
    let start = text.find(&format!("\n{name} {{\n")).unwrap_or_else(|| panic!("{name} is not described"));
    let body = text[start + 1..].split("\n}").next().expect("an end");
    body.lines().skip(1).map(|line| line.split_whitespace().next().expect("a field").to_owned()).collect()
}

#[test]
fn every_request_and_field_is_described() {
    let header = read("../../driver/uapi/include/drm/vinci_accel.h");
    let text = read("vinci_accel.txt");
    let requests = requests(&header);
    assert!(requests.len() >= 20, "{} requests were found", requests.len());
    for (name, argument) in &requests {
        let line = text.lines().find(|line| line.starts_with(&format!("ioctl${name}(")));
        let line = line.unwrap_or_else(|| panic!("{name} is not described"));
        assert!(line.contains(&format!(", {argument}])")), "{line}");
        assert_eq!(described(&text, argument), fields(&header, argument), "{argument}");
    }
    for inner in ["drm_vinci_event", "drm_vinci_fault"] {
        assert_eq!(described(&text, inner), fields(&header, inner), "{inner}");
    }
}
