{#- The orders in RudderStack's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('rudderstack')) }}
{{ order_rows('rudderstack') }}
