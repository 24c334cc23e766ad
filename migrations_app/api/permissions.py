"""The roles as conditions of routes."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from engines.services.people.roles import is_administrator, is_curator, is_operator


class CuratorWrites(BasePermission):
    message = "Only a curator may change the catalog."

    def has_permission(self, request: Request, view: Any) -> bool:
        return request.method in SAFE_METHODS or is_curator(request.user)


class CuratorOnly(BasePermission):
    message = "Only a curator may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_curator(request.user)


class AdministratorWrites(BasePermission):
    """Operators read, an administrator writes."""

    message = "Only an administrator may change this, and only an operator may read it."

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS:
            return is_operator(request.user)
        return is_administrator(request.user)


class OperatorOnly(BasePermission):
    message = "Only an operator may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_operator(request.user)


class AdministratorOnly(BasePermission):
    message = "Only an administrator may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_administrator(request.user)


class StaffOnly(BasePermission):
    message = "Only a curator or an operator may do this."

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_curator(request.user) or is_operator(request.user)


class OperatorWrites(StaffOnly):
    """The staff read, an operator writes."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS:
            return super().has_permission(request, view)
        return is_operator(request.user)


class AdministratorDecides(StaffOnly):
    """The staff read, an administrator writes."""

    message = "Only an administrator may change defaults; curators and operators may read them."

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method in SAFE_METHODS:
            return super().has_permission(request, view) or is_administrator(request.user)
        return is_administrator(request.user)


class HostReader(StaffOnly):
    message = "Only a curator or an operator may read about hosts."
