{#- One row per person, with what is known about them. -#}
{{ config(materialized='profile', entity='person', enabled=has_events()) }}
WITH people AS (
    SELECT
        canonical_id,
        count(*) FILTER (WHERE id_type = 'user_id') AS user_ids,
        first_value(id_value ORDER BY last_seen_at DESC NULLS LAST, id_value)
            FILTER (WHERE id_type = 'user_id') AS user_id
    FROM {{ ref('person') }}
    GROUP BY canonical_id
),

memberships AS (
    SELECT
        canonical_id,
        count(*) AS accounts
    FROM {{ ref('account_members') }}
    GROUP BY canonical_id
)

SELECT
    p.canonical_id,
    p.user_id,
    p.user_ids > 0 AS is_known,
    {%- for attribute in var('golden_attributes') %}
    a.{{ attribute }},
    {%- endfor %}
    coalesce(m.accounts, 0) AS accounts,
    w.first_seen_at,
    w.last_seen_at,
    w.days_since_first_seen,
    w.days_since_last_seen,
    coalesce(w.events, 0) AS events,
    coalesce(w.events_7d, 0) AS events_7d,
    coalesce(w.events_30d, 0) AS events_30d,
    coalesce(w.events_30d_change, 0) AS events_30d_change,
    coalesce(w.views, 0) AS views,
    coalesce(w.views_30d, 0) AS views_30d,
    coalesce(w.pages, 0) AS pages,
    coalesce(w.active_days_30d, 0) AS active_days_30d,
    coalesce(w.devices, 0) AS devices,
    w.favourite_page,
    w.favourite_event,
    w.favourite_hour,
    w.top_pages_30d,
    w.last_page,
    w.first_referrer,
    w.first_utm_source,
    w.first_utm_campaign,
    w.last_utm_source,
    w.last_utm_campaign,
    w.campaigns,
    w.locale,
    coalesce(v.sessions, 0) AS sessions,
    coalesce(v.sessions_30d, 0) AS sessions_30d,
    v.average_session_seconds,
    v.longest_session_seconds,
    v.bounce_rate,
    v.favourite_landing_page,
    coalesce(o.orders, 0) AS orders,
    coalesce(o.orders_90d, 0) AS orders_90d,
    coalesce(o.lifetime_value, 0) AS lifetime_value,
    coalesce(o.revenue_90d, 0) AS revenue_90d,
    o.average_order_value,
    o.smallest_order,
    o.largest_order,
    o.first_order_at,
    o.last_order_at,
    o.days_since_last_order,
    o.coupon_share,
    o.coupons,
    o.currency,
    f.recency_score,
    f.frequency_score,
    f.monetary_score,
    f.rfm_class,
    CASE
        WHEN w.days_since_last_seen IS NULL AND o.orders IS NULL THEN 'unseen'
        WHEN least(w.days_since_last_seen, o.days_since_last_order) > 90 THEN 'lapsed'
        WHEN o.orders > 1 THEN 'repeat_buyer'
        WHEN o.orders = 1 THEN 'buyer'
        WHEN p.user_ids > 0 THEN 'known'
        ELSE 'visitor'
    END AS lifecycle_stage
FROM people AS p
LEFT JOIN memberships AS m ON m.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_attributes') }} AS a ON a.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_web') }} AS w ON w.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_visits') }} AS v ON v.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_purchases') }} AS o ON o.canonical_id = p.canonical_id
LEFT JOIN {{ ref('rfm') }} AS f ON f.canonical_id = p.canonical_id
