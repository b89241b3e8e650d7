{#- The calls of alias in RudderStack's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('rudderstack')) }}
{{ alias_rows('rudderstack') }}
