//! Exit codes, what is said about a failure, and what is never said.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{ADMIN, Closing, Fleet, Outside, Person, Pipe};

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    fleet.run(&["hold", "lab-1", "--reason", "mine"]).await.ok();
    let gone = "01890a5d-ac96-774b-bcce-00000000ffff";
    let viewer = Person::with(&[("CML_FLEET_TOKEN", "viewer-hidden-token")]);
    let nobody = Person::with(&[]);
    for (code, person, arguments) in [
        (1, &Person::default(), vec!["create", "--file", "no/such/file"]),
        (2, &Person::default(), vec!["get"]),
        (2, &Person::default(), vec!["list", "--status", "terminated"]),
        (2, &Person::default(), vec!["watch", "--until", "running"]),
        (3, &Person::default(), vec!["stop", "lab-1"]),
        (3, &Person::default(), vec!["list", "--region", "nowhere"]),
        (4, &Person::default(), vec!["get", gone]),
        (4, &Person::default(), vec!["get", "lab-7"]),
        (4, &Person::default(), vec!["bulk-cancel", gone]),
        (4, &Person::default(), vec!["import", "--instance", "i-0123456789abcdef9", "--region", "us-east-1"]),
        (5, &viewer, vec!["stop", "lab-1"]),
        (5, &nobody, vec!["list"]),
    ] {
        let ran = fleet.run_by(person, &arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}: {}", ran.err);
        assert!(!ran.err.is_empty() && !ran.err.contains("hidden"), "{arguments:?}: {}", ran.err);
    }
}

#[tokio::test]
async fn a_failure_is_one_line_for_people_and_the_problem_itself_as_json() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["hold", "lab-1", "--reason", "mine"]).await.ok();
    let mut lines = String::new();
    for arguments in
        [vec!["stop", "lab-1"], vec!["list", "--name", "a b"], vec!["get", "lab-7"], vec!["get", "a b"]]
    {
        lines += &fleet.run(&arguments).await.err;
    }
    lines += &fleet.run_by(&Person::with(&[]), &["list"]).await.err;
    expect![[r#"
        cml-fleet: The worker is held: the worker is held by admin since 2026-09-21T14:13:20Z (mine); release it first: PATCH it with `held` null [request JKJaXmPLvHcESHA=]
        cml-fleet: A parameter is not valid: name must be 1 to 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit [request JKJaXmPLvHcESHA=]
        cml-fleet: there is no living worker called lab-7
        cml-fleet: A parameter is not valid: name must be 1 to 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit [request JKJaXmPLvHcESHA=]
        cml-fleet: the answer was 401: Unauthorized; set CML_FLEET_TOKEN, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
    "#]].assert_eq(&lines);

    let ran = fleet.run(&["stop", &id, "-o", "json"]).await;
    let problem: Value = serde_json::from_str(&ran.err).expect("JSON");
    assert_eq!((ran.out.as_str(), &problem["type"]), ("", &json!("urn:cml-fleet:problem:held")));
    let ran = fleet.run(&["get", "lab-7", "-o", "json"]).await;
    let problem: Value = serde_json::from_str(&ran.err).expect("JSON");
    assert_eq!(problem["detail"], "there is no living worker called lab-7");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_patience_ends_and_nothing_else() {
    let fleet = Fleet::new().await;
    let busy = json!({ "message": "Too Many Requests" });
    for _ in 0..20 {
        fleet.will_answer("GET /workers?limit=50", 429, &[], &busy);
    }
    let person = Person { outside: Outside::default(), ..Person::default() };
    let ran = fleet.run_by(&person, &["list", "--timeout", "5"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (1, "cml-fleet: the answer was 429: Too Many Requests\n"));
    assert_eq!(person.outside.slept(), [200, 400, 800, 1600]);

    // Who is asked to wait for longer than there is patience gives up at once.
    let before = fleet.seen().len();
    fleet.will_answer("GET /openapi.json", 503, &[("retry-after", "3600")], &busy);
    assert_eq!((fleet.run(&["openapi"]).await.code, fleet.seen().len() - before), (1, 1));

    // A fault of the API is its answer.
    let before = fleet.seen().len();
    fleet.will_answer("GET /openapi.json", 500, &[], &busy);
    assert_eq!((fleet.run(&["openapi"]).await.code, fleet.seen().len() - before), (1, 1));
}

#[tokio::test]
async fn an_api_that_is_not_there_is_tried_for_as_long_as_was_said() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let person = Person::default();
    let ran = person.run(&["list", "--timeout", "2", "--url", &url]).await;
    assert_eq!((ran.code, person.outside.slept()), (1, vec![200, 400, 800]));
    assert!(ran.err.starts_with("cml-fleet: 127.0.0.1 cannot be connected to: "), "{}", ran.err);
}

#[tokio::test]
async fn no_secret_is_said_however_much_is_said() {
    let fleet = Fleet::new().await;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hidden-key"),
        ("AWS_SESSION_TOKEN", "hidden-session"),
        ("AWS_REGION", "eu-central-1"),
    ];
    for person in [Person::default(), Person::with(&keys)] {
        let mut said = String::new();
        for arguments in [
            vec!["list", "-v"],
            vec!["get", "lab-7", "-v", "-o", "json"],
            vec!["list", "--region", "x", "-v"],
        ] {
            let ran = fleet.run_by(&person, &arguments).await;
            said += &(ran.out + &ran.err);
        }
        let far = person.run(&["list", "-v", "--url", "http://example.com"]).await;
        assert_eq!(far.code, 2, "nobody's secret goes over a wire in clear text");
        said += &far.err;
        assert!(said.contains("GET http://127.0.0.1"), "{said}");
        assert!(!said.contains("hidden") && !said.contains(ADMIN) && !said.contains("Signature"), "{said}");
    }
}

#[tokio::test]
async fn requests_are_signed_where_there_is_no_token() {
    let fleet = Fleet::new().await;
    let keys = [
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "hidden-key"),
        ("AWS_REGION", "eu-central-1"),
    ];
    fleet.run_by(&Person::with(&keys), &["list"]).await.ok();
    let last = fleet.last();
    let begin = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260921/eu-central-1/execute-api/aws4_request, SignedHeaders=host;x-amz-date";
    assert!(last.header("authorization").starts_with(begin), "{}", last.header("authorization"));
    // The host that was signed is the host that was asked.
    assert_eq!(format!("http://{}", last.header("host")), fleet.url);
}

#[tokio::test]
async fn a_wrong_address_is_no_missing_worker() {
    let fleet = Fleet::new().await;
    let elsewhere = format!("{}/elsewhere", fleet.url);
    let ran = Person::default().run(&["list", "--url", &elsewhere]).await;
    assert_eq!((ran.code, ran.err.contains("There is no such route")), (1, true), "{}", ran.err);
    fleet.will_answer("GET /workers?limit=50", 404, &[], &json!({ "message": "Not Found" }));
    let ran = fleet.run(&["list"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (1, "cml-fleet: the answer was 404: Not Found\n"));
}

#[tokio::test]
async fn an_earlier_try_that_goes_on_for_too_long_is_no_refusal() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let problem = json!({
        "type": "urn:cml-fleet:problem:request-in-progress", "title": "The same request is being carried out",
        "status": 409, "detail": "try again",
    });
    for _ in 0..10 {
        fleet.will_answer(&format!("POST /workers/{id}/stop"), 409, &[], &problem);
    }
    let ran = fleet.run(&["stop", &id, "--timeout", "2"]).await;
    let how = "look at what came of it before you ask for it once more";
    assert_eq!((ran.code, ran.err.contains(how)), (1, true), "{}", ran.err);
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_is_called_that() {
    let fleet = Fleet::new().await;
    fleet.will_answer("GET /workers?limit=50", 200, &[], &json!({ "workers": [] }));
    let ran = fleet.run(&["list", "-o", "json"]).await;
    let problem: Value = serde_json::from_str(&ran.err).expect("JSON");
    assert_eq!((ran.code, &problem["title"]), (1, &json!("The answer cannot be read")));
}

#[tokio::test]
async fn what_cannot_be_sent_is_told_at_once_and_without_what_is_secret() {
    let fleet = Fleet::new().await;
    let person = Person::with(&[("CML_FLEET_TOKEN", "hidden\ntoken")]);
    for arguments in [vec!["list", "-v"], vec!["list", "-v", "-o", "json"]] {
        let ran = fleet.run_by(&person, &arguments).await;
        assert_eq!((ran.code, ran.err.contains("the request cannot be made")), (2, true), "{}", ran.err);
        assert!(!ran.err.contains("hidden"), "{}", ran.err);
    }
    let person = Person::default();
    let ran = fleet.run_by(&person, &["list", "--name", &"a".repeat(70_000)]).await;
    assert_eq!((ran.code, ran.err.contains("the request cannot be made")), (2, true), "{}", ran.err);
    assert_eq!((fleet.seen().len(), person.outside.slept().len()), (0, 0));
}

#[tokio::test]
async fn a_pipe_that_is_closed_early_is_no_failure() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    for arguments in [vec!["list"], vec!["watch"], vec!["completions", "bash"], vec!["--help"]] {
        let err = Pipe::default();
        let mut all = arguments.clone();
        all.extend(["--url", &fleet.url]);
        let code = Person::default().run_into(Closing(3), err.clone(), &all).await;
        assert_eq!((code, err.text()), (0, String::new()), "{arguments:?}");
    }
}

#[tokio::test]
async fn an_error_output_that_is_closed_ends_nothing_but_a_question() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    for (code, line, arguments) in [
        (0, Some("lab-1"), vec!["list", "-v"]),
        (2, None, vec!["get"]),
        (4, None, vec!["get", "lab-7", "-v"]),
        (6, Some("lab-1"), vec!["watch", &id, "--until", "stopped", "--timeout", "1", "-v"]),
    ] {
        let out = Pipe::default();
        let mut all = arguments.clone();
        all.extend(["--url", &fleet.url]);
        let ended = Person::default().run_into(out.clone(), Closing(0), &all).await;
        assert_eq!(ended, code, "{arguments:?}");
        assert!(line.map_or(out.text().is_empty(), |line| out.text().contains(line)), "{arguments:?}");
    }
    let terminate = ["terminate", "lab-1", "--url", &fleet.url];
    let ended = Person::at_a_terminal("y\n").run_into(Pipe::default(), Closing(0), &terminate).await;
    let status = fleet.run(&["get", &id, "-o", "json"]).await.json()["status"].clone();
    assert_eq!((ended, status), (1, json!("running")), "who was not asked has not said yes");
}

#[tokio::test]
async fn one_key_without_the_other_is_an_error_but_for_what_anybody_may_read() {
    let fleet = Fleet::new().await;
    for half in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        let person = Person::with(&[(half, "AKID")]);
        let list = fleet.run_by(&person, &["list"]).await;
        assert_eq!((list.code, list.err.contains("set both, or neither")), (2, true), "{}", list.err);
        assert_eq!(fleet.run_by(&person, &["openapi"]).await.code, 0);
    }
}
