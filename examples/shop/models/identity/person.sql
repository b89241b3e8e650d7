{#- Every identifier that a record carries. Records that share one are of the same person. -#}
{{ config(materialized='identity', entity='person') }}

{%- set records = [
    ('web', 'stg_events', 'message_id', 'sent_at', ['anonymous_id', 'user_id', 'email']),
    ('orders', 'stg_orders', 'order_id', 'ordered_at', ['user_id', 'email', 'phone']),
    ('crm', 'stg_contacts', 'contact_id', 'updated_at', ['user_id', 'email', 'phone']),
    ('email', 'stg_email_events', 'email_event_id', 'occurred_at', ['email']),
    ('consent', 'stg_consents', 'consent_id', 'changed_at', ['email']),
] %}

{% for source, model, record_id, observed_at, id_types in records -%}
{%- set last_record = loop.last -%}
{%- for id_type in id_types -%}
SELECT
    '{{ source }}' AS source,
    {{ record_id }} AS record_id,
    '{{ id_type }}' AS id_type,
    {{ id_type }} AS id_value,
    {{ observed_at }} AS observed_at
FROM {{ ref(model) }}
WHERE {{ id_type }} IS NOT NULL
{% if not (loop.last and last_record) -%}
UNION ALL
{% endif -%}
{%- endfor -%}
{%- endfor %}
