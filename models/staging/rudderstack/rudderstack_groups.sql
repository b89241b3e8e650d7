{#- The calls of group in RudderStack's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('rudderstack')) }}
{{ group_rows('rudderstack') }}
