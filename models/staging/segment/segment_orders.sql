{#- The orders in Segment's layout, as delivered, in the common shape. -#}
{{ config(materialized='view', enabled=has_layout('segment')) }}
{{ order_rows('segment') }}
