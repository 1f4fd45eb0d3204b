//! What the command line says of itself.

use expect_test::expect;

use crate::support::Person;

#[tokio::test]
async fn help_tells_the_commands_and_the_exit_codes() {
    let help = Person::default().run(&["--help"]).await.ok();
    // Its blank lines are not empty, which a file that is kept in order has not.
    let help: String = help.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    expect![[r#"
        The command line of a fleet of CML workers on EC2

        Usage: cml-fleet [OPTIONS] <COMMAND>

        Commands:
          list         List the living workers
          get          Show one worker
          watch        Follow workers as they change
          create       Create a worker; its instance is launched
          import       Answer for instances that exist: one by --instance, or all that are found
          start        Let a worker run
          stop         Let a worker be stopped
          reboot       Reboot a worker
          sync         Look at a worker and its metrics now
          terminate    End a worker and its instance, or only forget it
          hold         Keep our hands off a worker
          release      Take care of a held worker again
          protect      Let a worker be ended only by who names it
          unprotect    Undo protect
          tag          Set and remove tags of a worker
          events       Show what happened to a worker, the newest last
          telemetry    Show the metrics of a worker
          bulk         Do one thing to many workers
          bulk-status  Show how far a bulk command has got
          bulk-cancel  Keep a bulk command from going on; what EC2 was asked for stays
          openapi      Print the API's own description, OpenAPI 3.1
          completions  Print the completions for a shell
          help         Print this message or the help of the given subcommand(s)

        Options:
              --url <URL>
                  The address of the API

                  [env: CML_FLEET_URL]

          -o, --output <OUTPUT>
                  How results are shown

                  Possible values:
                  - table: For people and for cut
                  - json:  The API's own JSON; one document a line where there is no end

                  [default: table]

              --timeout <SECONDS>
                  When to give up: trying a request (after 60 at most), or waiting in watch, events --follow and bulk (never, if not said)

          -v, --verbose
                  Say each request on the error output; never who asks

          -h, --help
                  Print help (see a summary with '-h')

          -V, --version
                  Print version

        Who asks: a bearer token from CML_FLEET_TOKEN, else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, with which
        requests are signed for the region in the address, or else for that of AWS_REGION or AWS_DEFAULT_REGION.

        Where the output is no terminal there are no colours, no questions, no progress and no headings, and columns are parted by tabs.
        Where the error output is none there are no questions and no progress either, and where the input is none there are no questions.
        Errors are one line on the error output, with --output json a problem as the API has them; a command line that cannot be read is told
        in several lines, and not as JSON. NO_COLOR is honoured.

        Exit codes:
          0  done; also when the time for watch without --until, or for events --follow, is over
          1  failed: no answer, a fault of the API, not now (429 and the like), a wrong address (any other 404), a file that cannot be
             read, or nothing was done because you said no
          2  the command line is not valid
          3  refused: the request is not allowed as it is, or not as things are (400, 409, 412, 422 ...)
          4  there is no such worker, command or instance (404)
          5  not logged in, or not allowed (401, 403)
          6  in vain: watch --until did not get there, bulk was not done in time, or not all of an import or bulk came about: something
             was refused or failed, and of a bulk also superseded or cancelled
    "#]].assert_eq(&help);
}

/// The words of a text, without its marks.
fn plain(text: &str) -> String {
    text.replace('`', "").replace('|', " ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_readme_has_the_exit_codes_of_the_help() {
    let help = Person::default().run(&["--help"]).await.ok();
    let (_, codes) = help.split_once("Exit codes:\n").expect("codes");
    let readme = include_str!("../../../../README.md");
    let (_, table) = readme.split_once("| Exit code | Means |\n|---|---|\n").expect("a table");
    let (table, _) = table.split_once("\n\n").expect("its end");
    assert_eq!(plain(table), plain(codes));
}

#[tokio::test]
async fn every_command_has_its_own_help() {
    let help = Person::default().run(&["help"]).await.ok();
    let commands =
        help.split("Commands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("commands");
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names.into_iter().filter(|name| *name != "help") {
        let shown = Person::default().run(&[name, "--help"]).await.ok();
        assert!(shown.contains(&format!("Usage: cml-fleet {name}")), "{shown}");
    }
}

#[tokio::test]
async fn completions_need_no_api() {
    for shell in ["bash", "zsh", "fish"] {
        let text = Person::with(&[]).run(&["completions", shell]).await.ok();
        assert!(text.contains("cml-fleet") && text.contains("bulk-status"), "{shell}");
    }
}

#[tokio::test]
async fn an_address_has_to_be_one() {
    for url in
        ["", "example.com", "ftp://example.com", "https://ada:secret@example.com", "https://example.com/?a=b"]
    {
        let ran = Person::default().run(&["list", "--url", url]).await;
        assert_eq!((ran.code, ran.err.contains("secret")), (2, false), "{url}: {}", ran.err);
    }
}
