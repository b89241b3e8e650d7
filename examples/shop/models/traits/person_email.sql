SELECT
    r.canonical_id,
    count(*) FILTER (WHERE e.event = 'delivered') AS emails_delivered,
    count(*) FILTER (WHERE e.event = 'opened') AS emails_opened,
    count(*) FILTER (WHERE e.event = 'clicked') AS emails_clicked,
    count(*) FILTER (
        WHERE e.event = 'opened' AND e.occurred_at >= {{ kinfold.as_of() }} - INTERVAL '90 days'
    ) AS emails_opened_90d
FROM {{ ref('stg_email_events') }} AS e
INNER JOIN {{ ref('person__records') }} AS r
    ON r.source = 'email' AND r.record_id = e.email_event_id
GROUP BY r.canonical_id
