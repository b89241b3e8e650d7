{#- Calls of alias, each once. -#}
{{ config(materialized='table', enabled=has_events()) }}
{{ each_once('aliases', order_by='previous_id') }}
