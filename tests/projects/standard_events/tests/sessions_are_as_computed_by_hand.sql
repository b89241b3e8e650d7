WITH found AS (
    SELECT anonymous_id, session_number, started_at, seconds, events, views, is_bounce, landing_page, exit_page, utm_source, utm_campaign
    FROM {{ ref('sessions') }}
)

{{ kinfold.rows_that_differ(ref('expected_sessions'), 'found') }}
