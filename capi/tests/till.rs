//! The till in C does what it says, under the compiler's sanitizers.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder that cargo put the shared library in, beside this test.
fn library_folder() -> PathBuf {
    let beside = std::env::current_exe().unwrap().parent().unwrap().to_owned();
    let name = format!("{}bitacora_capi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    assert!(beside.join(&name).exists(), "{name} is not in {}", beside.display());
    beside
}

fn compile(source: &Path, program: &Path, further: &[&str]) -> Output {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let libraries = library_folder();
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    Command::new(compiler)
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-g"])
        .args(further)
        .arg("-I")
        .arg(root.join("include"))
        .arg(source)
        .arg("-L")
        .arg(&libraries)
        .arg("-lbitacora_capi")
        .arg(format!("-Wl,-rpath,{}", libraries.display()))
        .arg("-o")
        .arg(program)
        .output()
        .expect("a C compiler: `cc`, or what CC names")
}

/// Sanitizers, as far as the compiler and this machine have them.
fn sanitizers(folder: &Path) -> Vec<&'static str> {
    const ALL: &[&str] = &["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    let (source, program) = (folder.join("empty.c"), folder.join("empty"));
    std::fs::write(&source, "int main(void) { return 0; }\n").unwrap();
    let works = compile(&source, &program, ALL).status.success()
        && Command::new(&program).output().is_ok_and(|output| output.status.success());
    if works { ALL.to_vec() } else { Vec::new() }
}

/// Goal: the C interface is used as its header says, and breaks no memory. Method: the example is compiled, with the address and
/// undefined-behaviour sanitizers where there are any, and run twice on one folder; it checks every answer itself.
#[test]
fn the_till_in_c_works_twice_on_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/c/till.c");
    let program = folder.path().join("till");
    let compiled = compile(&source, &program, &sanitizers(folder.path()));
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let run = || {
        let output = Command::new(&program).arg(folder.path().join("till-data")).output().unwrap();
        let (shown, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{shown}\n{told}", output.status);
        assert_eq!(told, "", "a sanitizer's report");
        shown
    };
    let first = run();
    assert!(first.contains("\"was_created\":true"), "{first}");
    assert!(first.contains("order-1 is at version 2\n"), "{first}");
    assert!(first.contains("\"repeat\":false"), "{first}");
    assert!(first.contains("\"refusal\":\"InsufficientFunds\""), "{first}");
    assert!(first.contains("ana has 1000 EUR\n"), "{first}");
    assert!(first.contains("error: stream order-1: expected "), "{first}");
    let second = run();
    assert!(second.contains("\"was_created\":false,\"was_closed_cleanly\":true"), "{second}");
    assert!(second.contains("order-1 is at version 2, as before\n"), "{second}");
    assert!(second.contains("\"repeat\":true") && second.contains("ana has 1000 EUR\n"), "{second}");
}

/// A C++ compiler takes the header, too.
#[test]
fn the_header_is_also_cpp() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("empty.cpp");
    std::fs::write(&source, "#include \"bitacora.h\"\nint main() { return bitacora_close(nullptr); }\n").unwrap();
    let output = Command::new(std::env::var_os("CXX").unwrap_or_else(|| "c++".into()))
        .args(["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg(&source)
        .output()
        .expect("a C++ compiler: `c++`, or what CXX names");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
