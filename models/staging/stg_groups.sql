{#- Calls of group, each once. -#}
{{ config(materialized='table', enabled=has_events()) }}
{{ each_once('groups', order_by='group_id, name') }}
