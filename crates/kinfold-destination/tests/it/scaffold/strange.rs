//! tmp
use super::*;
#[tokio::test]
async fn tmp_dump() {
    let base = Path::new("/tmp/new-dump");
    let _ = std::fs::remove_dir_all(base);
    for (spec, ids) in [
        ("klaviyo/stable.json", vec![]),
        ("iterable/api-docs.json", vec![]),
        ("mailchimp/marketing-3.0.55.json", vec![]),
        ("sendgrid/mc_contacts_v3.json", vec![]),
        ("brevo/swagger-3.0.0.json", vec![]),
        ("intercom/api-2.16.json", vec![]),
        ("pipedrive/v2.json", vec![]),
        ("customer-io/journeys-track.json", vec![]),
        ("zendesk/support-oas.json", vec![]),
        ("activecampaign/v3.json", vec![]),
        ("braze/postman-openapi.json", vec![]),
        ("marketo/mapi.json", vec![]),
        ("pinterest/v5.json", vec![]),
        ("salesforce/sobject-collections.json", vec![]),
        ("mixpanel/ingestion.openapi.yaml", vec![]),
        ("stripe/spec3-2023-08-16.json", vec![]),
        ("mailgun/openapi.json", vec![]),
        ("slack/web-api-v2.json", vec![]),
        ("postmark/server-swagger.yaml", vec![]),
        ("notion/notion-openapi.json", vec![]),
        ("google/datamanager.v1.openapi.json", vec![]),
        ("twilio/api_v2010-messages.json", vec![]),
        ("third-party-written/segment-http-tracking.json", vec![]),
        ("third-party-written/airtable.json", vec![]),
    ] {
        let text = std::fs::read_to_string(Path::new("/work/shared/specs").join(spec)).unwrap();
        let start = Instant::now();
        let (api, problems) = api_of(spec, &text);
        let api = api.unwrap();
        let read = start.elapsed();
        let start = Instant::now();
        let found = candidates(&api);
        let cand = start.elapsed();
        let start = Instant::now();
        let made = scaffold(&api, "made", &ids).await.unwrap();
        println!(
            "\n== {spec} read {read:?} cand {cand:?} scaffold {:?} problems {} ops {} candidates {}",
            start.elapsed(),
            problems.len(),
            api.operations.len(),
            found.len()
        );
        for one in found.iter().take(6) {
            println!(
                "{:>3} {:<8} {} {} [{}] {}",
                one.score,
                one.operation.as_str(),
                one.method,
                one.path,
                one.object,
                one.reasons.join("; ")
            );
        }
        let dir = base.join(spec.replace('/', "_"));
        for (name, text) in &made.files {
            let p = dir.join(name);
            std::fs::create_dir_all(p.parent().unwrap()).unwrap();
            std::fs::write(p, text).unwrap();
        }
    }
}
