-- Thirty minutes without an event end a session.
WITH events AS (
    SELECT
        r.canonical_id,
        e.type,
        e.anonymous_id,
        e.sent_at,
        lag(e.sent_at) OVER (PARTITION BY r.canonical_id ORDER BY e.sent_at, e.message_id) AS previous_at
    FROM {{ ref('stg_events') }} AS e
    INNER JOIN {{ ref('person__records') }} AS r
        ON r.source = 'web' AND r.record_id = e.message_id
)

SELECT
    canonical_id,
    count(*) FILTER (
        WHERE previous_at IS NULL OR sent_at > previous_at + INTERVAL '30 minutes'
    ) AS sessions,
    count(*) FILTER (WHERE type = 'page') AS page_views,
    count(DISTINCT anonymous_id) AS devices,
    max(sent_at) AS last_visit_at
FROM events
GROUP BY canonical_id
