//! The "dump" object of a configuration file.

use std::env;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::code::{FEATURE_UNSUPPORTED, Failure, INVALID_DUMP_CONFIG, Result};

/// What is dumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scene {
    /// Inputs and outputs of every operator.
    Data,
    /// Those of operators that fail; the `acldumpType` asked for.
    Failed(u32),
}

/// Which tensors of an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    pub inputs: bool,
    pub outputs: bool,
}

/// What to dump and where.
#[derive(Debug)]
pub struct Config {
    pub scene: Scene,
    pub path: PathBuf,
    pub mode: Mode,
    /// When it was read: a folder of dumps.
    pub begun: String,
}

fn wrong(text: impl Into<String>) -> Failure {
    Failure::new(INVALID_DUMP_CONFIG, text)
}

fn missing(what: &str) -> Failure {
    Failure::new(FEATURE_UNSUPPORTED, format!("{what} is not supported in this version"))
}

/// A path of the environment, or else of the file.
fn path(variables: &[&str], given: Option<&str>, default: Option<&str>) -> Result<PathBuf> {
    let own = variables.iter().find_map(|name| env::var(name).ok().filter(|path| !path.is_empty()));
    let path = own.or_else(|| given.map(str::to_owned)).or_else(|| default.map(str::to_owned));
    let path = path.filter(|path| !path.is_empty()).ok_or_else(|| wrong("dump_path is missing"))?;
    std::fs::create_dir_all(&path).map_err(|e| wrong(format!("dump_path {path}: {e}")))?;
    Path::new(&path).canonicalize().map_err(|e| wrong(format!("dump_path {path}: {e}")))
}

/// Reads a whole configuration file; `None` if it asks for no dump.
pub fn read(file: &Value) -> Result<Option<Config>> {
    const DETAIL: &str = "aic_err_detail_dump";
    let begun = crate::prof::local_time(super::file::now().1 * 1000);
    let Some(dump) = file.get("dump") else { return Ok(None) };
    let text = |key: &str| -> Result<Option<&str>> {
        match dump.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(format!("{key} is {other}, not a text"))),
        }
    };
    let is_on = |key: &str| match text(key)? {
        None | Some("off") => Ok(false),
        Some("on") => Ok(true),
        Some(other) => Err(wrong(format!("{key} is \"{other}\", not \"on\" or \"off\""))),
    };
    let given = text("dump_path")?;
    let wants_data = dump.get("dump_list").is_some() || is_on("dump_op_switch")?;
    if let Some(scene) = text("dump_scene")?.filter(|scene| !scene.is_empty()) {
        let kind = match scene {
            "lite_exception" | "aic_err_brief_dump" => 1,
            "aic_err_norm_dump" => 2,
            DETAIL => return Err(missing("dump_scene aic_err_detail_dump")),
            "watcher" => return Err(missing("dump_scene watcher")),
            other => return Err(wrong(format!("there is no dump_scene \"{other}\""))),
        };
        if wants_data {
            return Err(wrong("dump_scene cannot be combined with dumps of data"));
        }
        let path = path(&["NPU_COLLECT_PATH", "ASCEND_WORK_PATH"], given, Some("."))?;
        let mode = Mode { inputs: true, outputs: true };
        return Ok(Some(Config { scene: Scene::Failed(kind), path, mode, begun }));
    }
    if is_on("dump_debug")? {
        return Err(missing("dump_debug"));
    }
    if !wants_data {
        return Ok(None);
    }
    let mode = match text("dump_mode")? {
        None | Some("output") => Mode { inputs: false, outputs: true },
        Some("input") => Mode { inputs: true, outputs: false },
        Some("all") => Mode { inputs: true, outputs: true },
        Some(other) => return Err(wrong(format!("there is no dump_mode \"{other}\""))),
    };
    match text("dump_data")? {
        None | Some("tensor") => {}
        Some("stats") => return Err(missing("dump_data stats")),
        Some(other) => return Err(wrong(format!("there is no dump_data \"{other}\""))),
    }
    let path = path(&["ASCEND_DUMP_PATH", "ASCEND_WORK_PATH"], given, None)?;
    // Without the switch only operators of models are meant, and there are no models here.
    Ok(is_on("dump_op_switch")?.then_some(Config { scene: Scene::Data, path, mode, begun }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Config>> {
        super::read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn configurations_are_checked() {
        let folder = env::temp_dir();
        let path = folder.to_str().unwrap();
        let data = format!(
            r#"{{"dump":{{"dump_path":"{path}","dump_list":[{{}}],"dump_op_switch":"on","dump_mode":"all"}}}}"#
        );
        let config = read(&data).unwrap().unwrap();
        assert_eq!((config.scene, config.mode), (Scene::Data, Mode { inputs: true, outputs: true }));
        assert!(read("{}").unwrap().is_none());
        assert!(read(r#"{"dump":{"dump_path":"."}}"#).unwrap().is_none());
        for wrong in [
            r#"{"dump":{"dump_op_switch":"on"}}"#,
            r#"{"dump":{"dump_path":".","dump_op_switch":"yes"}}"#,
            r#"{"dump":{"dump_path":".","dump_op_switch":"on","dump_mode":"both"}}"#,
            r#"{"dump":{"dump_path":3,"dump_op_switch":"on"}}"#,
            r#"{"dump":{"dump_scene":"nothing"}}"#,
            r#"{"dump":{"dump_scene":"aic_err_brief_dump","dump_list":[]}}"#,
        ] {
            assert_eq!(read(wrong).unwrap_err().code, INVALID_DUMP_CONFIG, "{wrong}");
        }
        for missing in [r#"{"dump":{"dump_debug":"on"}}"#, r#"{"dump":{"dump_scene":"watcher"}}"#] {
            assert_eq!(read(missing).unwrap_err().code, FEATURE_UNSUPPORTED, "{missing}");
        }
    }
}
