{#- The calls of identify in RudderStack's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('rudderstack')) }}
{{ identify_rows('rudderstack') }}
