{#- Visits: events of one device without a silence of more than `session_minutes` between them. An event without
    an anonymous_id was sent by a server, and belongs to no visit.

    The id of a session is made of its device and its first event. A late event makes a session longer, or joins
    two of them: the result is always that of all events in the order in which they happened. -#}
{{ config(materialized='table', enabled=has_events()) }}
WITH marked AS (
    SELECT
        *,
        lag(occurred_at) OVER (PARTITION BY anonymous_id ORDER BY occurred_at, message_id) AS previous_at
    FROM {{ ref('person_events') }}
    WHERE anonymous_id IS NOT NULL
),

numbered AS (
    SELECT
        *,
        sum(
            CASE
                WHEN previous_at IS NULL OR occurred_at > previous_at + INTERVAL '{{ var('session_minutes') }} minutes' THEN 1
                ELSE 0
            END
        ) OVER (
            PARTITION BY anonymous_id ORDER BY occurred_at, message_id
            ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
        ) AS number
    FROM marked
),

grouped AS (
    SELECT
        anonymous_id,
        number,
        min(canonical_id) AS canonical_id,
        first_value(message_id ORDER BY occurred_at, message_id) AS first_message_id,
        min(occurred_at) AS started_at,
        max(occurred_at) AS ended_at,
        count(*) AS events,
        count(*) FILTER (WHERE type IN ('page', 'screen')) AS views,
        first_value(coalesce(page_path, name) ORDER BY occurred_at, message_id)
            FILTER (WHERE type IN ('page', 'screen')) AS landing_page,
        first_value(coalesce(page_path, name) ORDER BY occurred_at DESC, message_id DESC)
            FILTER (WHERE type IN ('page', 'screen')) AS exit_page,
        {%- for column in ['page_referrer', 'utm_source', 'utm_medium', 'utm_campaign'] %}
        first_value({{ column }} ORDER BY occurred_at, message_id) FILTER (WHERE {{ column }} IS NOT NULL) AS {{ column }},
        {%- endfor %}
        max(received_at) AS last_received_at
    FROM numbered
    GROUP BY anonymous_id, number
)

SELECT
    md5(anonymous_id || ' ' || first_message_id) AS session_id,
    canonical_id,
    anonymous_id,
    number AS session_number,
    started_at,
    ended_at,
    CAST(date_part('epoch', ended_at) - date_part('epoch', started_at) AS BIGINT) AS seconds,
    events,
    views,
    events = 1 AS is_bounce,
    landing_page,
    exit_page,
    page_referrer AS referrer,
    utm_source,
    utm_medium,
    utm_campaign,
    last_received_at
FROM grouped
