{#- Ids under which accounts are known. With `account_domains`, accounts with one website are one account. -#}
{{ config(materialized='identity', entity='account', enabled=has_events()) }}
SELECT
    'groups' AS source,
    message_id AS record_id,
    'group_id' AS id_type,
    group_id AS id_value,
    occurred_at AS observed_at
FROM {{ ref('stg_groups') }}
WHERE group_id IS NOT NULL
{%- if var('account_domains') %}
UNION ALL
SELECT
    'groups' AS source,
    message_id AS record_id,
    'domain' AS id_type,
    {{ website_domain('website') }} AS id_value,
    occurred_at AS observed_at
FROM {{ ref('stg_groups') }}
WHERE group_id IS NOT NULL
    AND {{ website_domain('website') }} IS NOT NULL
{%- endif %}
