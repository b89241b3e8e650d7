{{ config(materialized='profile', entity='person') }}

SELECT
    p.canonical_id,
    p.email,
    p.phone,
    p.first_name,
    p.last_name,
    p.city,
    p.country,
    coalesce(o.orders, 0) AS orders,
    coalesce(o.orders_90d, 0) AS orders_90d,
    coalesce(o.lifetime_value, 0) AS lifetime_value,
    o.average_order_value,
    o.first_order_at,
    o.last_order_at,
    o.favourite_category,
    f.recency_days AS days_since_last_order,
    f.rfm_class,
    coalesce(w.sessions, 0) AS sessions,
    coalesce(w.page_views, 0) AS page_views,
    coalesce(w.devices, 0) AS devices,
    w.last_visit_at,
    coalesce(e.emails_delivered, 0) AS emails_delivered,
    coalesce(e.emails_opened, 0) AS emails_opened,
    coalesce(e.emails_clicked, 0) AS emails_clicked,
    coalesce(e.emails_opened_90d, 0) AS emails_opened_90d,
    CASE
        WHEN e.emails_delivered IS NULL THEN 'none'
        WHEN e.emails_opened_90d >= 3 OR e.emails_clicked >= 2 THEN 'high'
        WHEN e.emails_opened_90d >= 1 THEN 'medium'
        ELSE 'low'
    END AS email_engagement,
    c.consent_email_marketing,
    c.consent_analytics,
    c.consent_advertising
FROM {{ ref('person_contact') }} AS p
LEFT JOIN {{ ref('person_orders') }} AS o ON o.canonical_id = p.canonical_id
LEFT JOIN {{ ref('rfm') }} AS f ON f.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_web') }} AS w ON w.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_email') }} AS e ON e.canonical_id = p.canonical_id
LEFT JOIN {{ ref('person_consent') }} AS c ON c.canonical_id = p.canonical_id
