//! The programs, and what they must print.

use super::build::PLACE;
use crate::test::Tier;

/// Where a program comes from.
pub enum Program {
    /// A file or project as a user would name it.
    Path(&'static str),
    /// The command that compiles it to [`PLACE`].
    Built(&'static [&'static str]),
}

/// A program and what it must print.
pub struct Case {
    /// Names it; up to the colon also the file that is compiled.
    pub name: &'static str,
    /// What is run.
    pub program: Program,
    /// Its arguments.
    pub arguments: &'static [&'static str],
    /// Options of `drupe run`.
    pub options: &'static [&'static str],
    /// Programs of this machine without which it is skipped.
    pub needs: &'static [&'static str],
    /// Its standard output.
    pub output: &'static str,
    /// Its exit status.
    pub status: i32,
    /// The first tier that runs it on qemu; on process all run by default.
    pub on_qemu: Tier,
}

impl Case {
    /// The first tier that runs it on a provider.
    pub fn tier(&self, provider: &str) -> Tier {
        if provider == "qemu" { self.on_qemu } else { Tier::Default }
    }
}

/// The defaults: compilers that every machine with a C compiler and Rust has, nothing said.
const SMALL: Case = Case {
    name: "",
    program: Program::Path(""),
    arguments: &[],
    options: &[],
    needs: &[],
    output: "",
    status: 0,
    on_qemu: Tier::Default,
};

/// Large programs: their roots alone are hundreds of MiB.
const LARGE: Case = Case { options: &["-m", "1G"], on_qemu: Tier::Full, ..SMALL };

/// All programs.
pub const CASES: &[Case] = &[
    Case {
        name: "hello in C",
        program: Program::Path("examples/hello-c"),
        output: "hello\n",
        ..SMALL
    },
    Case {
        name: "hello in C, static",
        program: Program::Built(&["cc", "-static", "-o", PLACE, "examples/hello-c/hello.c"]),
        output: "hello\n",
        ..SMALL
    },
    Case {
        name: "hello in C++",
        program: Program::Path("examples/hello-cpp"),
        output: "hello\n",
        ..SMALL
    },
    Case {
        name: "hello in Rust",
        program: Program::Path("examples/hello-rust"),
        output: "hello\n",
        ..SMALL
    },
    Case {
        name: "hello in Rust, static",
        program: Program::Built(&[
            "rustc",
            "-Ctarget-feature=+crt-static",
            "-o",
            PLACE,
            "examples/hello-rust/src/main.rs",
        ]),
        output: "hello\n",
        ..SMALL
    },
    Case {
        name: "busybox: pipelines and exit statuses",
        program: Program::Path("/bin/busybox"),
        arguments: &[
            "sh",
            "-c",
            "for i in 1 2 3; do echo $i | cat | tr 1 x; done; (exit 3); echo $?; exit 7",
        ],
        needs: &["busybox"],
        output: "x\n2\n3\n3\n",
        status: 7,
        ..SMALL
    },
    Case {
        // What ended processes left behind once filled the memory.
        name: "busybox: two thousand processes one after the other in 32 MiB",
        program: Program::Path("/bin/busybox"),
        arguments: &[
            "sh",
            "-c",
            "i=0; while [ $i -lt 2000 ]; do (exit 0); i=$((i+1)); done; echo $i",
        ],
        options: &["-m", "32M"],
        needs: &["busybox"],
        output: "2000\n",
        ..SMALL
    },
    Case {
        name: "bash: a pipeline of a loop",
        program: Program::Path("/bin/bash"),
        arguments: &["-c", "for i in {1..20}; do echo $i | cat; done | tail -1"],
        output: "20\n",
        ..SMALL
    },
    Case {
        name: "dash: functions, loops and pipes",
        program: Program::Path("/bin/dash"),
        arguments: &[
            "-c",
            "f() { while read -r n; do echo $((n * n)); done; }; seq 1 9 | f | sort -rn | head -2; \
             trap 'echo trapped' USR1; kill -USR1 $$; exit 4",
        ],
        output: "81\n64\ntrapped\n",
        status: 4,
        ..SMALL
    },
    Case {
        name: "coreutils: pipelines of bash",
        program: Program::Path("tests/programs/tools.sh"),
        output: "6251e5743b6fd6a7\n 300 total\n1 a x,2 b y\n1 7\n20000 line\n100\nsame\nfile\n\
            ./a/b\nregular empty file 644\n1970-01-02T00:00:00\n1234567890: 2 3 3 5 3607 3803\n\
            drupe\n 61 62\njob 1\njob 2\njob 3\njob 4\nthrough\nb6d81b36\ntimeout 124\nkilled 143\n\
            HERE DOCUMENT\n4\npacked\ncleaned\n",
        status: 9,
        ..SMALL
    },
    Case {
        name: "python: threads, processes, ctypes, asyncio",
        program: Program::Path("tests/programs/interpreter.py"),
        options: &["-m", "512M"],
        needs: &["python3"],
        output: "threads 100\nchildren got this 3\npool 328350\nforeign [1, 2, 3, 4, 5]\n\
            events [30, 10, 20] echoed 144\nmappings kept\nsignals SIGALRM\ndatabase 166666500\n\
            json {\"cpus\": 2}\n",
        status: 2,
        ..SMALL
    },
    Case {
        name: "perl: processes, signals, modules",
        program: Program::Path("tests/programs/script.pl"),
        needs: &["perl"],
        output: "children 1:1:1 2:4:2 3:9:3 4:16:4 5:25:5\nbackticks shell again\nalarms 1\n\
            over a socket\nlines 500500 4d12dcee02e2b96ac8d4e556e2c7a8ccb54403cd\n3=4 4=2 5=3\n",
        status: 8,
        ..SMALL
    },
    Case {
        name: "sqlite3: a file with an index",
        program: Program::Path("/usr/bin/sqlite3"),
        arguments: &[
            "/tmp/numbers.db",
            "pragma journal_mode = wal; create table numbers (n, square); \
             with recursive c(n) as (select 1 union all select n + 1 from c where n < 10000) \
             insert into numbers select n, n * n from c; create index squares on numbers (n); \
             select count(*), sum(square) from numbers where n % 3 = 0; pragma integrity_check;",
        ],
        needs: &["sqlite3"],
        output: "wal\n3333|111127776111\nok\n",
        ..SMALL
    },
    Case {
        name: "go: goroutines, collection, preemption",
        program: Program::Built(&["go", "build", "-o", PLACE, "tests/programs/goroutines.go"]),
        needs: &["go"],
        output: "pipeline 599500\ncollected 327640\ncollections true\npreempted true\n\
            fault runtime error: invalid memory address or nil pointer dereference\n\
            signal user defined signal 1\ntimers 10 150 300\nfiles a b c\n",
        ..SMALL
    },
    Case {
        name: "exceptions: C++ with threads",
        program: Program::Built(&[
            "c++",
            "-O2",
            "-pthread",
            "-o",
            PLACE,
            "tests/programs/exceptions.cc",
        ]),
        output: "caught 2000 destroyed 26000\ncarried over from there\nturns 2000\n\
            no memory for it\n",
        status: 6,
        ..SMALL
    },
    Case {
        name: "openmp: Fortran with two threads",
        program: Program::Built(&[
            "gfortran",
            "-O2",
            "-fopenmp",
            "-o",
            PLACE,
            "tests/programs/openmp.f90",
        ]),
        needs: &["gfortran"],
        output: "threads 2\nentered 200\nsum  1.64493\n",
        ..SMALL
    },
    Case {
        name: "erlang: processes, timers, a port",
        program: Program::Path("tests/programs/processes.escript"),
        needs: &["escript"],
        output: "schedulers 2\nring 1000\nsums 1801800000\ntimers [10,150,300]\nshell 42\nfile kept\n",
        status: 5,
        ..LARGE
    },
    Case {
        name: "node: worker threads",
        program: Program::Path("tests/programs/workers.js"),
        needs: &["node"],
        output: "primes 669 1229 2262\ncounted 30000 ended 3\nfiles abcde\n\
            key a8df899f3c4f204d967e0ad63c092987\ntimers 10 150 300\nchild from sh\n",
        status: 4,
        ..LARGE
    },
    Case {
        name: "java: threads and collection",
        program: Program::Path("tests/programs/threads.java-source"),
        needs: &["java"],
        output: "garbage 200160 counted 40000\nprimes 2262\nlengths 499400\noverflow true\nslept\n",
        status: 3,
        ..LARGE
    },
];
