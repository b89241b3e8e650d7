{#- What each person bought. -#}
{{ config(materialized='table', enabled=has_events()) }}
{{ traits(ref('person_orders'), [
    {'name': 'orders', 'kind': 'count'},
    {'name': 'orders_90d', 'kind': 'count', 'days': 90},
    {'name': 'lifetime_value', 'kind': 'sum', 'value': 'amount'},
    {'name': 'revenue_90d', 'kind': 'sum', 'value': 'amount', 'days': 90},
    {'name': 'average_order_value', 'kind': 'avg', 'value': 'amount'},
    {'name': 'smallest_order', 'kind': 'min', 'value': 'amount'},
    {'name': 'largest_order', 'kind': 'max', 'value': 'amount'},
    {'name': 'first_order_at', 'kind': 'first_at'},
    {'name': 'last_order_at', 'kind': 'last_at'},
    {'name': 'days_since_last_order', 'kind': 'days_since_last'},
    {'name': 'coupon_share', 'kind': 'ratio', 'part': 'coupon IS NOT NULL'},
    {'name': 'coupons', 'kind': 'unique_list', 'value': 'coupon', 'limit': 20},
    {'name': 'currency', 'kind': 'most_frequent', 'value': 'currency'},
], at='ordered_at', id='order_id') }}
