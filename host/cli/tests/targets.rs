//! Targets good and bad: everything that needs no kernel.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use common::Place;

#[test]
fn help_and_mistakes_on_the_command_line() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for word in ["run", "build", "doctor"] {
        assert!(help.output.contains(word), "{help:?}");
    }
    assert_eq!(place.run(&["run", "--memory", "lots", "/bin/true"]).code, Some(125));
    assert_eq!(place.run(&["frobnicate"]).code, Some(125));
    assert_eq!(place.run(&["run"]).code, Some(125));
}

#[test]
fn targets_that_are_not_there() {
    let place = Place::new();
    place.run(&["run", "./nowhere"]).fails(127, &["./nowhere", "neither a path nor a local image"]);
    place.run(&["run", "true"]).fails(127, &["did you mean", "/bin/true"]);
}

#[test]
fn files_that_are_no_programs() {
    let place = Place::new();
    let program = fs::read("/bin/true").unwrap();
    let mut arm = program.clone();
    arm[18] = 183;
    let mut hostile = program.clone();
    // The number of program headers.
    hostile[56] = 0xff;
    hostile[57] = 0xff;
    let cases: &[(&str, &[u8], &str)] = &[
        ("text", b"just some text\n", "neither an ELF file nor a script"),
        ("empty", b"", "it is empty"),
        ("cut", &program[..3000], "cut off"),
        ("head", &program[..40], "cut off"),
        ("arm", &arm, "made for aarch64"),
        ("hostile", &hostile, "headers"),
        ("script", b"#!/nowhere/lua\n", "/nowhere/lua, which this host does not have"),
        ("env", b"#!/usr/bin/env nowhere-lua\n", "nowhere-lua, which this host does not have"),
    ];
    for (name, contents, word) in cases {
        place.file(name, contents);
        place.run(&["run", &format!("./{name}")]).fails(126, &[name, word]);
    }
    place.run(&["run", "/dev/null"]).fails(126, &["neither a file nor a folder"]);
}

#[test]
fn a_missing_library_is_named() {
    let place = Place::new();
    place.file("library.c", "int f(void) { return 0; }\n");
    place.file("program.c", "int f(void); int main(void) { return f(); }\n");
    let compile = |arguments: &[&str]| {
        let folder = place.path("");
        assert!(Command::new("cc").current_dir(folder).args(arguments).status().unwrap().success());
    };
    compile(&["-shared", "-fPIC", "-o", "libgone.so", "library.c"]);
    compile(&["-o", "program", "program.c", "-L.", "-lgone"]);
    place.run(&["run", "./program"]).fails(126, &["program needs", "libgone.so"]);
    compile(&["-o", "program", "program.c", "-L.", "-lgone", "-Wl,-rpath,$ORIGIN"]);
    let explained = place.run(&["build", "--explain", "./program"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.output.contains("libgone.so  (library of "), "{explained:?}");
}

#[test]
fn unreadable_files_are_refused() {
    let place = Place::new();
    let drupe = place.path("drupe");
    fs::copy(env!("CARGO_BIN_EXE_drupe"), &drupe).unwrap();
    let secret = place.file("secret", fs::read("/bin/true").unwrap());
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o000)).unwrap();
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = if rustix::process::getuid().is_root() {
        // Root reads everything.
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(&drupe);
        command
    } else {
        Command::new(&drupe)
    };
    let command = command.current_dir(place.path("")).env("DRUPE_HOME", place.path("home"));
    let ended = common::Ended::from(command.args(["run", "./secret"]).output().unwrap());
    ended.fails(126, &["secret", "Permission denied"]);
}

#[test]
fn folders_that_are_no_projects() {
    let place = Place::new();
    fs::create_dir(place.path("nothing")).unwrap();
    place.run(&["run", "nothing"]).fails(126, &["nothing is empty"]);
    place.file("strange/main.cobol", "IDENTIFICATION DIVISION.");
    place.run(&["run", "strange"]).fails(126, &["known language", "drupe.toml"]);
    place.file("wrong/drupe.toml", "buidl = \"make\"\n");
    place.run(&["run", "wrong"]).fails(125, &["drupe.toml is not valid", "buidl"]);
    place.file("broken/main.c", "int main(void) { return x; }\n");
    let broken = place.run(&["run", "broken"]);
    broken.fails(125, &["main.c", "could not compile"]);
    assert!(broken.error.contains("undeclared"), "the compiler's output is shown: {broken:?}");
}

#[test]
fn what_a_provider_cannot_do_is_refused_before_the_start() {
    let place = Place::new();
    let kernel = ["--kernel", "/bin/true"];
    let run = |arguments: &[&str]| {
        place.run(&[&["run"], &kernel[..], arguments, &["/bin/true"]].concat())
    };
    run(&["--gdb", "1234"]).fails(125, &["process", "--gdb", "--provider qemu"]);
    run(&["--machine", "q35"]).fails(125, &["--machine", "--provider qemu"]);
    run(&["-it"]).fails(125, &["no terminal", "-it"]);
    run(&["-m", "4000G"]).fails(125, &["does not fit into this host", "-m"]);
    let mut without_qemu = place.drupe();
    without_qemu.env("PATH", "/nowhere").args(["run", "--provider", "qemu", "/bin/true"]);
    let ended = common::Ended::from(without_qemu.args(&[] as &[&str]).output().unwrap());
    ended.fails(125, &["qemu-system-x86_64 is not installed"]);
}

#[test]
fn damaged_archives_are_refused() {
    let place = Place::new();
    let built = place.run(&["build", "/bin/busybox", "-o", "image.tar"]);
    if built.code == Some(127) {
        // Without busybox any program does.
        assert_eq!(place.run(&["build", "/bin/true", "-o", "image.tar"]).code, Some(0));
    }
    let image = fs::read(place.path("image.tar")).unwrap();
    place.file("cut.tar", &image[..image.len() / 2]);
    place.run(&["run", "cut.tar"]).fails(126, &["cut.tar", "cut off"]);
    let mut other = image;
    other[2000] ^= 1;
    place.file("changed.tar", other);
    place.run(&["run", "changed.tar"]).fails(126, &["changed.tar", "other contents"]);
}

#[test]
fn projects_are_built_and_explained() {
    let place = Place::new();
    place.file("hello/main.c", "#include \"part.h\"\nint main(void) { return part(); }\n");
    place.file("hello/part.h", "int part(void);\n");
    place.file("hello/part.cc", "extern \"C\" int part(void) { return 0; }\n");
    place.file("hello/data/table", "1 2 3\n");
    place.file("hello/drupe.toml", "include = [\"data\"]\n[run]\narguments = [\"x\"]\n");
    let explained = place.run(&["build", "--explain", "hello"]);
    assert_eq!(explained.code, Some(0), "{explained:?}");
    assert!(explained.output.contains("/app/hello  (the program)"), "{explained:?}");
    assert!(explained.output.contains("/app/data/table  (named in the project)"), "{explained:?}");
    for file in ["a.tar", "b.tar"] {
        let built = place.run(&["build", "hello", "-o", file, "--output", "json"]);
        assert!(built.output.contains("\"digest\":\"sha256:"), "{built:?}");
    }
    assert!(fs::read(place.path("a.tar")).unwrap() == fs::read(place.path("b.tar")).unwrap());
}

#[test]
fn make_and_commands_build_projects() {
    let place = Place::new();
    place.file("made/Makefile", "out/server: s.c\n\tmkdir -p out; cc -o $@ s.c\n");
    place.file("made/s.c", "int main(void) { return 0; }\n");
    let explained = place.run(&["build", "--explain", "made"]);
    assert!(explained.output.contains("/app/server  (the program)"), "{explained:?}");
    place.file("told/drupe.toml", "build = \"cp /bin/true tool\"\nprogram = \"tool\"\n");
    let explained = place.run(&["build", "--explain", "told"]);
    assert!(explained.output.contains("/app/tool  (the program)"), "{explained:?}");
    place.file("told/drupe.toml", "build = \"echo trouble >&2; false\"\n");
    let failed = place.run(&["build", "told"]);
    failed.fails(125, &["build command"]);
    assert!(failed.error.contains("trouble"), "{failed:?}");
}

#[test]
fn other_tools_read_and_write_the_archives() {
    let place = Place::new();
    if Command::new("skopeo").arg("--version").output().is_err() {
        // `cargo xtask test` says that it is missing.
        return;
    }
    place.file("hello/hello.c", "int main(void) { return 0; }\n");
    assert_eq!(place.run(&["build", "hello", "-o", "a.tar"]).code, Some(0));
    let copy = |from: &str, to: &str| {
        let mut skopeo = Command::new("skopeo");
        skopeo.current_dir(place.path("")).args(["--insecure-policy", "copy", "-q"]);
        let copied = skopeo.args(["--dest-compress", from, to]).status().unwrap();
        assert!(copied.success(), "{from} to {to}");
    };
    copy("oci-archive:a.tar", "oci-archive:gzip.tar");
    copy("oci-archive:a.tar", "docker-archive:docker.tar:hello:latest");
    let kernel = place.guest("module.c");
    let modules = ["a.tar", "gzip.tar", "docker.tar"].map(|archive| {
        let ended = place.drupe().arg("run").arg("--kernel").arg(&kernel).arg(archive).output();
        ended.unwrap().stdout
    });
    let root = |module: &[u8]| {
        let config = abi_guest::Config::parse(module).unwrap();
        assert_eq!(config.program, b"/app/hello");
        // Only the head differs: seed and time.
        module[4096..].to_vec()
    };
    assert!(root(&modules[0]) == root(&modules[1]) && root(&modules[0]) == root(&modules[2]));
}

#[test]
fn the_doctor_speaks_json() {
    let place = Place::new();
    let ended = place.run(&["doctor", "--output", "json"]);
    let checks: serde_json::Value = serde_json::from_str(&ended.output).unwrap();
    let names: Vec<&str> =
        checks.as_array().unwrap().iter().filter_map(|check| check["name"].as_str()).collect();
    assert!(names.contains(&"Linux") && names.contains(&"KVM"), "{names:?}");
}
