{#- Calls of identify, each once, with identifiers in their normal form. The traits stay as they were written. -#}
{{ config(materialized='table', enabled=has_events()) }}
WITH once AS (
    {{ each_once('identifies', order_by='email, phone, first_name, last_name') }}
)

SELECT
    message_id,
    layout,
    source_name,
    anonymous_id,
    user_id,
    {{ normalize_email('email') }} AS email,
    {{ normalize_phone('phone', var('country_code')) }} AS phone,
    occurred_at,
    received_at,
    {%- for trait in identify_traits() %}
    {{ trait }} AS trait_{{ trait }},
    {%- endfor %}
    deliveries,
    last_received_at
FROM once
