-- Between two sessions of a device there is more silence than within one.
{{ config(enabled=has_events()) }}
SELECT *
FROM (
    SELECT
        session_id,
        started_at,
        lag(ended_at) OVER (PARTITION BY anonymous_id ORDER BY session_number) AS previous_ended_at
    FROM {{ ref('sessions') }}
) AS sessions
WHERE started_at <= previous_ended_at + INTERVAL '{{ var('session_minutes') }} minutes'
